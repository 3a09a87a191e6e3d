"""Which devices a command computes on (-gpu), and `caffe device_query`."""
import logging

import torch

from caffe.core import state
from caffe.tools.command import UsageError

log = logging.getLogger("caffe")


def gpus(text):
    """The numbers of the GPUs in the flag -gpu, such as "0,1" or "all"; none for ""."""
    count = torch.cuda.device_count()
    if text == "all" and count:
        return list(range(count))
    if text == "all":
        raise UsageError("-gpu all: PyTorch sees no GPU here; leave out -gpu to use the CPU")
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(word.isdigit() for word in words):
        raise UsageError(f'-gpu: expected numbers of GPUs (0,1) or all, got "{text}"')
    numbers = [int(word) for word in words]
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"-gpu: each GPU can be used once, got {text}")
    if max(numbers, default=-1) >= count:
        raise UsageError(f"-gpu {text}: PyTorch sees {count} GPUs here; leave out -gpu to use the "
                         "CPU")
    return numbers


def use_one(text):
    """Computes on the (first) GPU of the flag -gpu, or on the CPU without one."""
    numbers = gpus(text)
    use(numbers[0] if numbers else None)


def use(gpu):
    """Computes on a GPU (a number), or on the CPU (None)."""
    if gpu is None:
        log.info("Use CPU.")
        state.set_mode_cpu()
        return
    state.set_device(gpu)
    state.set_mode_gpu()
    log.info("GPU %d: %s", gpu, torch.cuda.get_device_name(gpu))


def device_query(flags):
    """Logs what the GPUs in -gpu (all by default) are."""
    log.info("Querying GPUs %s", flags["gpu"] or "all")
    if not torch.cuda.is_available():
        log.info("PyTorch %s sees no GPU here", torch.__version__)
        return
    for number in gpus(flags["gpu"] or "all"):
        state.set_device(number)
        properties = torch.cuda.get_device_properties(number)
        for what, value in (("Device id", number),
                            ("Major revision number", properties.major),
                            ("Minor revision number", properties.minor),
                            ("Name", properties.name),
                            ("Total global memory", properties.total_memory),
                            ("Warp size", properties.warp_size),
                            ("Number of multiprocessors", properties.multi_processor_count)):
            log.info("%-32s%s", what + ":", value)
