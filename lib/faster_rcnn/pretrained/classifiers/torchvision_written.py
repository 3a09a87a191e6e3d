"""Classifiers of torchvision whose Caffe nets are written here: AlexNet, VGG-11 to -19 with and
without normalisation, ResNet-18 to -152, SqueezeNet 1.1, MobileNetV2, GoogLeNet.

Their poolings round as PyTorch's do. Layers of Caffe's own nets have Caffe's names.
"""
from collections.abc import Iterator, Sequence

from faster_rcnn.pretrained.classifiers.torchvision_nets import block_letter, resnet_depth
from faster_rcnn.pretrained.classifiers.writer import Writer
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Tensors

_VGG = {8: 11, 10: 13, 13: 16, 16: 19}      # convolutions -> layers
# MobileNetV2: blocks of a stage, stride of the first
_MOBILE = ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1))
_BASIC: dict[tuple[int, ...], int] = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}
_INCEPTIONS = (("3a", "3b"), ("4a", "4b", "4c", "4d", "4e"), ("5a", "5b"))


def alexnet(tensors: Tensors, _options: dict) -> Imported:
    net = Writer("AlexNet", tensors)
    top = net.max_pool("pool1", net.conv("conv1", "data", "features.0", stride=4, pad=2), 3, 2)
    top = net.max_pool("pool2", net.conv("conv2", top, "features.3", pad=2), 3, 2)
    for number, index in ((3, 6), (4, 8), (5, 10)):
        top = net.conv(f"conv{number}", top, f"features.{index}", pad=1)
    top = net.max_pool("pool5", top, 3, 2)
    _three_layers(net, top, (1, 4, 6))
    return net.imported("conv1")


def _three_layers(net: Writer, top: str, indices: tuple[int, int, int]) -> None:
    for number, index in zip((6, 7, 8), indices):
        top = net.fc(f"fc{number}", top, f"classifier.{index}", "ReLU" if number < 8 else None)


def vgg(tensors: Tensors, _options: dict) -> Imported:
    """Any VGG: where a number is missing between two convolutions there was a pooling."""
    indices = [i for i in range(60) if f"features.{i}.weight" in tensors
               and f"features.{i}.running_mean" not in tensors]
    normalised = "features.1.running_mean" in tensors
    if len(indices) not in _VGG:
        raise CheckpointError(f"a VGG with {len(indices)} convolutions; known: "
                              + ", ".join(map(str, _VGG)))
    depth = _VGG[len(indices)]
    is_published = depth == 16 and not normalised
    net = Writer("VGG_ILSVRC_16_layers" if is_published else f"VGG-{depth}", tensors)
    top, stage, number = "data", 1, 1
    for index, following in zip(indices, [*indices[1:], indices[-1] + 9]):
        norm = f"features.{index + 1}" if normalised else None
        top = net.conv(f"conv{stage}_{number}", top, f"features.{index}", norm, pad=1)
        number += 1
        if following - index > (3 if normalised else 2):
            top = net.max_pool(f"pool{stage}", top, 2, 2)
            stage, number = stage + 1, 1
    _three_layers(net, top, (0, 3, 6))
    return net.imported("conv1_1", family="vgg16" if is_published else "")


def resnet(tensors: Tensors, _options: dict) -> Imported:
    """ResNet-50, -101 and -152, whose halving lies in the 3x3 convolutions; CheckpointError for
    other depths."""
    counts = tuple(_count(tensors, f"layer{stage}") for stage in (1, 2, 3, 4))
    depth = resnet_depth(counts)
    net = Writer(f"ResNet-{depth}", tensors)
    top = net.conv("conv1", "data", "conv1", "bn1", stride=2, pad=3,
                   norm_names=("bn_conv1", "scale_conv1"))
    top = net.max_pool("pool1", top, 3, 2, pad=1)
    for stage, index, stride in _blocks(counts):
        top = _bottleneck(net, top, f"layer{stage}.{index}",
                          f"{stage + 1}{block_letter(depth, stage, index)}", stride)
    net.fc("fc1000", net.mean("pool5", top), "fc")
    return net.imported("conv1", family="resnet")


def _bottleneck(net: Writer, bottom: str, stem: str, name: str, stride: int) -> str:
    def conv(branch: str, below: str, there: tuple[str, str], act: str | None = "ReLU",
             stride: int = 1, pad: int = 0) -> str:
        names = f"bn{name}_branch{branch}", f"scale{name}_branch{branch}"
        return net.conv(f"res{name}_branch{branch}", below, f"{stem}.{there[0]}",
                        f"{stem}.{there[1]}", act, stride, pad, names)

    side = bottom
    if f"{stem}.downsample.0.weight" in net.tensors:
        side = conv("1", bottom, ("downsample.0", "downsample.1"), None, stride)
    top = conv("2a", bottom, ("conv1", "bn1"))
    top = conv("2b", top, ("conv2", "bn2"), stride=stride, pad=1)
    top = conv("2c", top, ("conv3", "bn3"), None)
    return net.add(f"res{name}", [side, top], "ReLU")


def _blocks(counts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(stage from 1, index, stride) of the blocks of a ResNet; the first of the later stages halves
    the map."""
    for stage, count in enumerate(counts, 1):
        for index in range(count):
            yield stage, index, 2 if stage > 1 and index == 0 else 1


def _count(tensors: Tensors, stem: str) -> int:
    """How many blocks a stage has."""
    count = 0
    while f"{stem}.{count}.conv1.weight" in tensors:
        count += 1
    return count


def basic_resnet(tensors: Tensors, _options: dict) -> Imported:
    """ResNet-18 and -34, whose blocks are two 3x3 convolutions."""
    counts = tuple(_count(tensors, f"layer{stage}") for stage in (1, 2, 3, 4))
    depth = _BASIC.get(counts)
    if depth is None:
        raise CheckpointError(f"a ResNet with {counts} blocks of two convolutions per "
                              f"stage; known: {', '.join(map(str, _BASIC))}")
    net = Writer(f"ResNet-{depth}", tensors)
    top = net.max_pool("pool1", net.conv("conv1", "data", "conv1", "bn1", stride=2, pad=3), 3, 2,
                       pad=1)
    for stage, index, stride in _blocks(counts):
        top = _basic_block(net, top, f"layer{stage}.{index}", f"res{stage + 1}{'abcdef'[index]}",
                           stride)
    net.fc("fc1000", net.mean("pool5", top), "fc")
    return net.imported("conv1")


def _basic_block(net: Writer, bottom: str, stem: str, name: str, stride: int) -> str:
    side = bottom
    if f"{stem}.downsample.0.weight" in net.tensors:
        side = net.conv(f"{name}_branch1", bottom, f"{stem}.downsample.0", f"{stem}.downsample.1",
                        None, stride)
    top = net.conv(f"{name}_branch2a", bottom, f"{stem}.conv1", f"{stem}.bn1", stride=stride, pad=1)
    top = net.conv(f"{name}_branch2b", top, f"{stem}.conv2", f"{stem}.bn2", None, pad=1)
    return net.add(name, [side, top], "ReLU")


def squeezenet1_1(tensors: Tensors, _options: dict) -> Imported:
    net = Writer("SqueezeNet1.1", tensors)
    top = net.max_pool("pool1", net.conv("conv1", "data", "features.0", stride=2), 3, 2, up=True)
    for number, index in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2):
        fire, stem = f"fire{number}", f"features.{index}"
        top = net.conv(f"{fire}/squeeze1x1", top, f"{stem}.squeeze")
        top = net.concat(f"{fire}/concat", [
            net.conv(f"{fire}/expand1x1", top, f"{stem}.expand1x1"),
            net.conv(f"{fire}/expand3x3", top, f"{stem}.expand3x3", pad=1)])
        if number in (3, 5):
            top = net.max_pool(f"pool{number}", top, 3, 2, up=True)
    net.mean("pool10", net.conv("conv10", top, "classifier.1"))
    return net.imported("conv1")


def mobilenet_v2(tensors: Tensors, _options: dict) -> Imported:
    net = Writer("MobileNetV2", tensors)
    top = net.conv("conv1", "data", "features.0.0", "features.0.1", "ReLU6", 2, 1)
    strides = [stride if i == 0 else 1 for count, stride in _MOBILE for i in range(count)]
    for number, stride in enumerate(strides, 1):
        top = _inverted(net, top, f"features.{number}.conv", f"block{number}", stride)
    top = net.conv("conv_last", top, "features.18.0", "features.18.1", "ReLU6")
    net.fc("fc", net.mean("pool", top), "classifier.1")
    return net.imported("conv1")


def _inverted(net: Writer, bottom: str, stem: str, name: str, stride: int) -> str:
    """Expansion (not in the first block), a kernel per channel, projection; the sum of both ends
    where their shapes are equal.
    """
    top, index = bottom, 0
    if f"{stem}.3.weight" in net.tensors:
        top = net.conv(f"{name}/expand", top, f"{stem}.0.0", f"{stem}.0.1", "ReLU6")
        index = 1
    top = net.conv(f"{name}/depthwise", top, f"{stem}.{index}.0", f"{stem}.{index}.1", "ReLU6",
                   stride, 1)
    top = net.conv(f"{name}/project", top, f"{stem}.{index + 1}", f"{stem}.{index + 2}", None)
    if stride == 1 and net.channels(top) == net.channels(bottom):
        top = net.add(name, [bottom, top])
    return top


def googlenet(tensors: Tensors, _options: dict) -> Imported:
    """Without its auxiliary classifiers."""
    tensors.drop(r"aux[12]\.")
    net = Writer("GoogLeNet", tensors, eps=1e-3)

    def conv(name: str, bottom: str, stem: str, stride: int = 1, pad: int = 0) -> str:
        return net.conv(name, bottom, f"{stem}.conv", f"{stem}.bn", stride=stride, pad=pad)

    def inception(bottom: str, name: str) -> str:
        stem, name = f"inception{name}", f"inception_{name}"
        tops = [conv(f"{name}/1x1", bottom, f"{stem}.branch1")]
        for number, size in ((2, "3x3"), (3, "5x5")):
            below = conv(f"{name}/{size}_reduce", bottom, f"{stem}.branch{number}.0")
            tops.append(conv(f"{name}/{size}", below, f"{stem}.branch{number}.1", pad=1))
        pooled = net.max_pool(f"{name}/pool", bottom, 3, 1, 1, up=True)
        tops.append(conv(f"{name}/pool_proj", pooled, f"{stem}.branch4.1"))
        return net.concat(f"{name}/output", tops)

    top = net.max_pool("pool1", conv("conv1", "data", "conv1", 2, 3), 3, 2, up=True)
    top = conv("conv3", conv("conv2", top, "conv2"), "conv3", pad=1)
    top = net.max_pool("pool2", top, 3, 2, up=True)
    for number, names in enumerate(_INCEPTIONS, 3):
        for name in names:
            top = inception(top, name)
        if number < 5:
            kernel = 3 if number == 3 else 2
            top = net.max_pool(f"pool{number}", top, kernel, 2, up=True)
    net.fc("fc", net.mean("pool5", top), "fc")
    return net.imported("conv1", [
        "torchvision's own weights want other means and scales (transform_input): give "
        "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"])
