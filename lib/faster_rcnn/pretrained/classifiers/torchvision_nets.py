"""ImageNet classifiers of torchvision, under the names of the Caffe nets.

VGG16: conv1_1 ... conv5_3, fc6, fc7, fc8 (Simonyan and Zisserman). ResNet: conv1, res2a_branch1,
bn2a_branch1, scale2a_branch1, ..., fc1000 (He et al., deep-residual-networks). SqueezeNet: the
names of models/imagenet/SqueezeNet.
"""
from string import ascii_lowercase

from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Layer, Tensors

VGG16_CONVOLUTIONS = ((0, "conv1_1"), (2, "conv1_2"), (5, "conv2_1"), (7, "conv2_2"),
                      (10, "conv3_1"), (12, "conv3_2"), (14, "conv3_3"), (17, "conv4_1"),
                      (19, "conv4_2"), (21, "conv4_3"), (24, "conv5_1"), (26, "conv5_2"),
                      (28, "conv5_3"))
_FIRES = ((3, 2), (4, 3), (5, 4), (7, 5), (8, 6), (9, 7), (10, 8), (12, 9))
_RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def vgg16_convolutions(tensors: Tensors, stem: str) -> list[Layer]:
    """The thirteen convolutions, [(name, type, [weight, bias])]."""
    return [(name, "Convolution", tensors.pair(f"{stem}.{index}"))
            for index, name in VGG16_CONVOLUTIONS]


def squeezenet(tensors: Tensors, _options: dict) -> Imported:
    """SqueezeNet 1.0."""
    layers = [("conv1", "Convolution", tensors.pair("features.0"))]
    for index, number in _FIRES:
        layers += [(f"fire{number}/{ours}", "Convolution",
                    tensors.pair(f"features.{index}.{theirs}"))
                   for ours, theirs in (("conv1x1_1", "squeeze"), ("conv1x1_2", "expand1x1"),
                                        ("conv3x3_2", "expand3x3"))]
    layers.append(("conv_final", "Convolution", tensors.pair("classifier.1")))
    return Imported("SqueezeNet", layers, "conv1", "squeezenet")


def resnet_convolutions(tensors: Tensors) -> tuple[int, list[Layer]]:
    """Depth and layers of a ResNet without its classifier; CheckpointError for other depths."""
    blocks = tuple(_count(tensors, f"layer{stage}") for stage in (1, 2, 3, 4))
    depth = resnet_depth(blocks)
    layers = _normalised(tensors, "conv1", "bn1", "conv1", "_conv1")
    for stage, count in enumerate(blocks, 1):
        for index in range(count):
            name = f"{stage + 1}{block_letter(depth, stage, index)}_branch"
            layers += _block(tensors, f"layer{stage}.{index}", name)
    return depth, layers


def resnet_depth(blocks: tuple[int, ...]) -> int:
    """The number of layers of a ResNet by its blocks per stage; CheckpointError."""
    depth = next((depth for depth, known in _RESNET_BLOCKS.items() if known == blocks), None)
    if depth is None:
        raise CheckpointError(f"a ResNet with {blocks} blocks per stage; known: "
                              + ", ".join(f"{b} ({d} layers)" for d, b in _RESNET_BLOCKS.items()))
    return depth


def block_letter(depth: int, stage: int, index: int) -> str:
    """The letter of a block in the names of Caffe's ResNets: a, b, c, ...; in the long stages a,
    b1, b2, ...
    """
    is_long = depth > 50 and stage in (2, 3)
    return ascii_lowercase[index] if not is_long or index == 0 else f"b{index}"


def _block(tensors: Tensors, stem: str, name: str) -> list[Layer]:
    """branch1, where the block changes the size, and branch2a, 2b, 2c."""
    layers = []
    if f"{stem}.downsample.0.weight" in tensors:
        layers += _normalised(tensors, f"{stem}.downsample.0", f"{stem}.downsample.1",
                              f"res{name}1", f"{name}1")
    for number, part in enumerate(("2a", "2b", "2c"), 1):
        layers += _normalised(tensors, f"{stem}.conv{number}", f"{stem}.bn{number}",
                              f"res{name}{part}", f"{name}{part}")
    return layers


def _normalised(tensors: Tensors, convolution: str, norm: str, name: str,
                norm_name: str) -> list[Layer]:
    """A convolution and the BatchNorm and Scale layers that follow it."""
    statistics, scale = tensors.batch_norm(norm)
    return [(name, "Convolution", [tensors.take(f"{convolution}.weight")]),
            (f"bn{norm_name}", "BatchNorm", statistics), (f"scale{norm_name}", "Scale", scale)]


def _count(tensors: Tensors, stem: str) -> int:
    count = 0
    while f"{stem}.{count}.conv1.weight" in tensors:
        count += 1
    return count
