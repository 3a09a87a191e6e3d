"""What the flags of `caffe` mean: the model, and the devices, which `caffe device_query` shows."""
import logging

import torch

from caffe.core import state
from caffe.core.state import Phase
from caffe.nets.net import Net
from caffe.tools.command import Flags, UsageError

log = logging.getLogger("caffe")


def required(flags: Flags, name: str, purpose: str) -> None:
    """Raises UsageError unless a flag has been given."""
    if not flags[name]:
        raise UsageError(f"-{name} is missing: what {purpose}?")


def positive_iterations(flags: Flags) -> int:
    """The flag -iterations."""
    if flags["iterations"] <= 0:
        raise UsageError(f"-iterations: expected 1 or more, got {flags['iterations']}")
    return flags["iterations"]


def phase(flags: Flags, default: Phase) -> Phase:
    """The Phase in the flag -phase."""
    if flags["phase"] not in ("", *Phase.__members__):
        raise UsageError(f'-phase: expected TRAIN or TEST, got "{flags["phase"]}"')
    return Phase[flags["phase"]] if flags["phase"] else default


def stages(flags: Flags) -> list[str]:
    """The names in the flag -stage."""
    return [name.strip() for name in flags["stage"].split(",") if name.strip()]


def model_net(flags: Flags, net_phase: Phase) -> Net:
    """The net in -model, with the layers that the phase, -level and -stage allow."""
    return Net(flags["model"], net_phase, level=flags["level"], stages=stages(flags))


def gpus(text: str) -> list[int]:
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


def use_one(text: str) -> None:
    """Computes on the (first) GPU of the flag -gpu, or on the CPU without one."""
    numbers = gpus(text)
    use(numbers[0] if numbers else None)


def use(gpu: int | None) -> None:
    """Computes on a GPU (a number), or on the CPU (None)."""
    if gpu is None:
        log.info("Use CPU.")
        state.set_mode_cpu()
        return
    state.set_device(gpu)
    state.set_mode_gpu()
    log.info("GPU %d: %s", gpu, torch.cuda.get_device_name(gpu))


def device_query(flags: Flags) -> None:
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
