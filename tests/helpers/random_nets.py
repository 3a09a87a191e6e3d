"""Test nets of random units: the residual ones of ResNets, the parallel ones of Inception nets,
Slices, layers that no convolution takes, and layers in Python."""
import random

from net_texts import input_layer, layer

import caffe

AFTER = ["ReLU", "ReLU", "ReLU6", "PReLU", "Sigmoid"]
LONE = {"Pooling": "pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }", "LRN": "",
        "Dropout": "", "Softmax": "", "Power": "power_param { power: 2 scale: 0.5 }",
        "Reshape": "reshape_param { shape { dim: 0 dim: 0 dim: 0 dim: -1 } }",
        "Python": f'python_param {{ module: "{__name__}" layer: "Halved" }}'}


class Halved(caffe.Layer):
    """Halves its bottom, of which it keeps the array, as a program's own layer may."""

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.kept = bottom[0].data
        top[0].data[...] = self.kept / 2


class RandomNet:
    """The text of a net: input "data", units "u0", "u1", ..., output "end"; batch, channels."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.batch, self.channels = choose.choice([1, 1, 2]), choose.choice([3, 8, 16])
        self.text = input_layer("data", self.batch, self.channels, 9, 10)
        bottom, channels = "data", self.channels
        for number in range(choose.randint(2, 4)):
            unit = choose.choice([self.residual, self.residual, self.parallel, self.sliced,
                                  self.lone])
            bottom, channels = unit(f"u{number}", bottom, channels)
        self.convolution("end", bottom, 7, "kernel_size: 1")

    def convolution(self, name: str, bottom: str, outputs: int, window: str) -> str:
        self.text += layer(name, "Convolution", bottom, None,
                           f"convolution_param {{ num_output: {outputs} {window} }}")
        return name

    def normalised(self, name: str) -> str:
        """A blob, behind BatchNorm, Scale and an activation in place, or some of them."""
        if self.choose.random() < 0.4:
            self.text += layer(f"{name}_bn", "BatchNorm", name, name)
            self.text += layer(f"{name}_sc", "Scale", name, name, "scale_param { bias_term: true }")
        if self.choose.random() < 0.6:
            self.text += layer(f"{name}_after", self.choose.choice(AFTER), name, name)
        return name

    def residual(self, name: str, bottom: str, channels: int) -> tuple[str, int]:
        """1 x 1, 3 x 3, 1 x 1, or two of 3 x 3; the first or the second has the stride."""
        stride = self.choose.choice([1, 1, 2])
        outputs = channels if stride == 1 and self.choose.random() < 0.7 else 24
        first, second = (stride, 1) if self.choose.random() < 0.6 else (1, stride)
        inner = self.choose.choice([8, 16])
        group = self.choose.choice([1, 1, 2, inner])
        window = self.choose.choice(["kernel_size: 1", "kernel_size: 3 pad: 1"])
        self.normalised(self.convolution(f"{name}_a", bottom, inner, f"{window} stride: {first}"))
        self.normalised(self.convolution(f"{name}_b", f"{name}_a", inner, "kernel_size: 3 pad: 1 "
                                         f"stride: {second} group: {group}"))
        self.convolution(f"{name}_c", f"{name}_b", outputs, "kernel_size: 1")
        branches = [f"{name}_c", bottom]
        if stride > 1 or outputs != channels or self.choose.random() < 0.3:
            branches[1] = self.convolution(f"{name}_short", bottom, outputs,
                                           f"kernel_size: 1 stride: {stride}")
        self.choose.shuffle(branches)
        self.text += layer(name, "Eltwise", " ".join(branches))
        return self.normalised(name), outputs

    def parallel(self, name: str, bottom: str, channels: int) -> tuple[str, int]:
        """Branches that a Concat puts together; one of them may be the bottom itself."""
        branches, total = [], 0
        for number in range(self.choose.randint(2, 4)):
            kind, branch = self.choose.choice(["1", "3", "pool", "nested", "bottom"]), \
                f"{name}_p{number}"
            outputs = self.choose.choice([4, 8, 33])
            if kind == "pool":
                self.text += layer(branch, "Pooling", bottom, None,
                                   "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
            elif kind == "nested":
                self.convolution(f"{branch}x", bottom, outputs, "kernel_size: 1")
                self.convolution(f"{branch}y", bottom, 8, "kernel_size: 3 pad: 1")
                self.text += layer(branch, "Concat", f"{branch}x {branch}y")
                outputs += 8
            elif kind in ("1", "3"):
                self.normalised(self.convolution(branch, bottom, outputs, {
                    "1": "kernel_size: 1", "3": "kernel_size: 3 pad: 1"}[kind]))
            branches.append(bottom if kind == "bottom" else branch)
            total += channels if kind in ("pool", "bottom") else outputs
        self.text += layer(name, "Concat", " ".join(branches))
        return self.normalised(name), total

    def sliced(self, name: str, bottom: str, channels: int) -> tuple[str, int]:
        """The channels in two parts, of which one or both are changed, put together again."""
        parts = [f"{name}_s0", f"{name}_s1"]
        self.text += layer(f"{name}_cut", "Slice", bottom, " ".join(parts),
                           f"slice_param {{ slice_point: {channels // 2} }}")
        changed = [self.normalised(part) for part in parts]
        if self.choose.random() < 0.5:
            changed[0] = self.convolution(f"{name}_a", parts[0], channels // 2, "kernel_size: 1")
        self.text += layer(name, "Concat", " ".join(changed))
        return name, channels

    def lone(self, name: str, bottom: str, channels: int) -> tuple[str, int]:
        """One layer of LONE, behind which the activation may be in place."""
        kind = self.choose.choice(list(LONE))
        self.text += layer(name, kind, bottom, None, LONE[kind])
        return self.normalised(name), channels
