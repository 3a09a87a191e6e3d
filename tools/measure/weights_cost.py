"""What a net's weights cost to save and to load: seconds, and main memory against the file.

    cost("models/pascal_voc/VGG16/faster_rcnn_alt_opt/faster_rcnn_test.pt", repeats=3)

Every step runs in a process of its own, whose largest memory the system knows (Linux). As a
program (`weights_cost.py save|load PROTOTXT FILE`) it is such a step.
"""
import json
import os
import subprocess
import sys
import tempfile
import time


def cost(prototxt, repeats):
    """{"file_mb", "save_s", "save_memory", "load_s", "load_memory"}: the fastest of the repeats,
    and the memory of the process beyond that of the imports, as a share of the file.

    It includes the net itself, which is as large as the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.caffemodel")
        saves = [_step("save", prototxt, path) for _ in range(repeats)]
        loads = [_step("load", prototxt, path) for _ in range(repeats)]
        size = os.path.getsize(path)
    result = {"file_mb": size / (1 << 20)}
    for name, steps in (("save", saves), ("load", loads)):
        result[f"{name}_s"] = min(seconds for seconds, _ in steps)
        result[f"{name}_memory"] = max(memory for _, memory in steps) / size
    return result


def _step(action, prototxt, path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, __file__, action, prototxt, path], text=True,
                          env=environment, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{action} of {prototxt} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _largest_memory():
    """Of this process, in bytes; getrusage's figure starts with that of the parent."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def main(action, prototxt, path):
    """Prints [seconds, bytes of memory]."""
    import caffe
    before = _largest_memory()
    net = caffe.Net(prototxt, caffe.TEST)
    start = time.perf_counter()
    (net.save if action == "save" else net.copy_from)(path)
    print(json.dumps([time.perf_counter() - start, _largest_memory() - before]))


if __name__ == "__main__":
    main(*sys.argv[1:])
