"""The program that a checkpoint comes from."""
import torch

from faster_rcnn.pretrained import efficientnet_lite, simple_faster_rcnn, torchvision_nets
from faster_rcnn.pretrained.checkpoints import CheckpointError
from faster_rcnn.pretrained.imported import Imported, Tensors

# names that only the checkpoints of a family have -> the function that makes an Imported
_FAMILIES = ((("extractor.0.weight", "rpn.conv1.weight"), simple_faster_rcnn.detector),
             (("features.0.weight", "classifier.6.weight"), torchvision_nets.vgg16),
             (("features.3.squeeze.weight",), torchvision_nets.squeezenet),
             (("layer1.0.conv3.weight",), torchvision_nets.resnet),
             (("_conv_stem.weight", "_blocks.15._bn2.weight"),
              efficientnet_lite.efficientnet_lite0))


def convert(tensors: dict[str, torch.Tensor], options: dict) -> Imported:
    """The Imported of a checkpoint's tensors; CheckpointError when their net is unknown.

    options: what the program saved with them (simple-faster-rcnn: caffe_pretrain).
    """
    taken = Tensors(tensors)
    for marks, make in _FAMILIES:
        if all(name in taken for name in marks):
            imported = make(taken, options)
            taken.finish()
            return imported
    raise CheckpointError("the checkpoint is of no known net; known: VGG16, SqueezeNet 1.0, "
                          "ResNet-50, -101, -152 (torchvision), simple-faster-rcnn-pytorch, "
                          "EfficientNet-Lite0 (efficientnet-lite-pytorch); its first tensor is "
                          f'"{next(iter(tensors))}"')
