"""The largest main memory of a net at a stage of its training, or at a test: a process each.

    peak("VGG16", "stage1_rpn", height=600, width=1000, precision="float32",
         settings={"RECOMPUTE_ACTIVATIONS": True})

As a program (`memory.py NET STAGE HEIGHT WIDTH PRECISION JSON`) it is such a process.
"""
import json
import os
import subprocess
import sys
import tempfile

PASSES = 3      # the third has all that the second left
_MEGABYTE = 1 << 20


def peak(net_name, stage, height, width, precision, settings):
    """{"weights_mb", "peak_mb"}: of the learnable blobs, and of the process in the passes beyond
    the imports (Linux); precision: caffe.set_precision's; settings: of cfg.TRAIN."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, __file__, net_name, stage, str(height), str(width),
                           precision, json.dumps(settings)], text=True, env=environment,
                          stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{net_name} at {stage} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _status(word):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(word))


def main(net_name, stage, height, width, precision, settings):
    """Prints the figures of `peak`."""
    import torch

    import caffe
    from measure import stages
    torch.set_num_threads(1)
    before = _status("VmRSS:")
    caffe.set_precision(precision)
    with tempfile.TemporaryDirectory() as folder, \
            stages.settings_of(net_name, stage, json.loads(settings)):
        run, net, _ = stages.case(net_name, stage, folder, int(height), int(width))
        for _ in range(PASSES):
            run()
    if net.precision != precision:
        raise SystemExit(f"memory.py: this processor has no instructions for {precision}")
    weights = sum(blob.count for blobs in net.params.values() for blob in blobs) * 4
    print(json.dumps({"weights_mb": weights / _MEGABYTE,
                      "peak_mb": (_status("VmHWM:") - before) / _MEGABYTE}))


if __name__ == "__main__":
    main(*sys.argv[1:])
