"""The program that a checkpoint comes from."""
from collections.abc import Callable

import torch

from faster_rcnn.pretrained.classifiers import efficientnet_lite, torchvision_nets
from faster_rcnn.pretrained.classifiers import torchvision_written as written
from faster_rcnn.pretrained.detectors import detectron2, ports, simple_faster_rcnn
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Tensors

# names that only the checkpoints of a family have -> the function that makes an Imported
_FAMILIES = ((("RCNN_rpn.RPN_Conv.weight", "RCNN_base.0.weight"), ports.jwyang),
             (("rpn_cls_score_net.weight", "bbox_pred_net.weight"), ports.ruotianluo),
             (("vgg_16/rpn_conv/3x3/weights",), ports.tensorflow_vgg16),
             (("proposal_generator.rpn_head.objectness_logits.weight",
               "roi_heads.res5.0.conv1.weight"), detectron2.detector),
             (("extractor.0.weight", "rpn.conv1.weight"), simple_faster_rcnn.detector),
             (("features.0.weight", "classifier.0.weight", "classifier.6.weight"), written.vgg),
             (("features.0.weight", "classifier.4.weight", "classifier.6.weight"),
              written.alexnet),
             (("features.6.squeeze.weight",), written.squeezenet1_1),
             (("features.3.squeeze.weight",), torchvision_nets.squeezenet),
             (("layer1.0.conv3.weight",), written.resnet),
             (("layer1.0.conv2.weight", "fc.weight"), written.basic_resnet),
             (("features.18.0.weight", "features.1.conv.0.0.weight"), written.mobilenet_v2),
             (("inception3a.branch1.conv.weight",), written.googlenet),
             (("_conv_stem.weight", "_blocks.15._bn2.weight"),
              efficientnet_lite.efficientnet_lite0))


# names that only checkpoints of nets without a Caffe form have -> which nets, and why
_REFUSED = (
    ("backbone.fpn.inner_blocks.0.0.weight", "torchvision's detectors with a feature pyramid"),
    ("backbone.fpn.inner_blocks.0.weight", "torchvision's detectors with a feature pyramid"),
    ("backbone.fpn_lateral2.weight", "Detectron2's detectors with a feature pyramid"))


def convert(tensors: dict[str, torch.Tensor], options: dict) -> Imported:
    """The Imported of a checkpoint's tensors; CheckpointError when their net is unknown.

    options: what the program saved with them (simple-faster-rcnn: caffe_pretrain).
    """
    taken = Tensors(tensors)
    for marks, make in _FAMILIES:
        if all(name in taken for name in marks):
            return _made(make, taken, options)
    for mark, nets in _REFUSED:
        if mark in taken:
            raise CheckpointError(f"the checkpoint is of {nets}: proposals of several maps have no "
                                  "form here; its classifier, or a C4 detector, can be imported")
    raise CheckpointError("the checkpoint is of no known net; known: AlexNet, VGG, ResNet, "
                          "SqueezeNet, MobileNetV2, GoogLeNet (torchvision), EfficientNet-Lite0 "
                          "(efficientnet-lite-pytorch); detectors of simple-faster-rcnn-pytorch, "
                          "faster-rcnn.pytorch, pytorch-faster-rcnn, tf-faster-rcnn (VGG16, .npz), "
                          "Detectron2 (C4); its first tensor is "
                          f'"{next(iter(tensors))}"')


def _made(make: Callable[[Tensors, dict], Imported], tensors: Tensors, options: dict) -> Imported:
    try:
        imported = make(tensors, options)
    except CheckpointError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError("the checkpoint's tensors do not have the shapes that their names "
                              f'promise; the last one read was "{tensors.last}" ({error})'
                              ) from None
    tensors.finish()
    return imported
