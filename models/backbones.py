"""One description per backbone: its shared layers, and how the detector continues from them."""
from dataclasses import dataclass, field, replace
from typing import Callable, Optional

import mobilenet
import resnet
from spec_layers import conv_relu, lrn, max_pool, xavier
from squeezenet import detector_features

LOSS_NORMALIZED = {"loss_param": {"ignore_label": -1, "normalize": True}}
LABELS_BLOCKED = {"propagate_down": [True, False]}


@dataclass(frozen=True)
class DataSet:
    """What the nets of a data set differ by."""

    folder: str                     # models/<folder>
    classes: int                    # with the background
    joint_iterations: int           # of joint training, as published
    fast_rcnn_schedule: tuple       # iterations of Fast R-CNN training, and until the rate drops
    scales: Optional[tuple] = None  # of the anchors; None: the backbone's own
    dropout: bool = True


PASCAL_VOC = DataSet("pascal_voc", classes=21, joint_iterations=70000,
                     fast_rcnn_schedule=(40000, 30000))
COCO = DataSet("coco", classes=81, joint_iterations=490000, fast_rcnn_schedule=(280000, 200000),
               scales=(4, 8, 16, 32), dropout=False)


@dataclass(frozen=True)
class Backbone:
    """What tells one detector from another. Defaults are those of the VGG nets."""

    folder: str                     # models/<data set>/<folder>
    title: str                      # the net's own name
    prefix: str                     # of snapshots: <prefix>_rpn_stage1_iter_N.caffemodel
    features: Callable              # features(net, rates) adds the shared layers, returns their top
    channels: int                   # of that top
    rpn_width: int                  # outputs of the RPN's 3x3 convolution
    pooled: int                     # a roi's features lie in pooled x pooled bins
    aligned: bool = False           # ROIAlign makes them, not ROIPooling
    widths: tuple = ()              # of fc6 and fc7
    head: Optional[Callable] = None # instead of fc6 and fc7: head(net, pooled, rates, stride) adds
                                    # convolutions that leave 7 x 7 bins, returns their mean
    frozen: tuple = ()              # shared layers that stage 1 does not train
    stride: int = 16                # image pixels per feature
    scales: Optional[tuple] = None  # of the anchors, times 16 pixels; None: the layers' 8, 16, 32
    rpn_names: tuple = ("rpn_conv/3x3", "rpn_relu/3x3", "rpn/output")  # layer, its ReLU, their top
    pool_names: tuple = ("roi_pool5", "pool5")                         # layer, its top
    loss_tops: tuple = ("loss_cls", "loss_bbox")
    fc_filler: Optional[dict] = None  # None: fc6 and fc7 come with the initial weights
    dropout: Optional[dict] = field(default_factory=lambda: {"dropout_ratio": 0.5})
    dropout_in_test: bool = False
    carried: tuple = ()             # layers that ride along beside fc6 and fc7
    dummy_filler: dict = field(default_factory=lambda: {"type": "gaussian", "std": 0.01})
    cls_loss: dict = field(default_factory=dict)  # further fields of the layer loss_cls
    cls_prob: dict = field(default_factory=dict)  # further fields of the layer cls_prob
    base_lr: float = 0.001
    iterations: Optional[tuple] = None  # of the four training steps; None: the published ones
    joint_iterations: Optional[int] = None  # of joint training; None: the data set's
    iter_size: int = 1              # images per update in joint training
    data_set: DataSet = PASCAL_VOC

    def on(self, data_set):
        """The backbone as it is used for a data set."""
        return replace(self, data_set=data_set, scales=data_set.scales or self.scales,
                       dropout=self.dropout if data_set.dropout else None)


def zf_features(net, rates):
    """Zeiler and Fergus's five convolutions; padded pooling, LRN within channels."""
    top = "data"
    for number, width, kernel, pad in ((1, 96, 7, 3), (2, 256, 5, 2)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        pad=pad, stride=2)
        top = lrn(net, f"norm{number}", top, local_size=3, alpha=0.00005, beta=0.75,
                  norm_region="WITHIN_CHANNEL", engine="CAFFE")
        top = max_pool(net, f"pool{number}", top, 3, 2, pad=1)
    for number, width in ((3, 384), (4, 384), (5, 256)):
        top = conv_relu(net, f"conv{number}", top, width, 3, rates, f"relu{number}", pad=1)
    return top


def cnn_m_features(net, rates):
    """The "medium" net of Chatfield et al.; LRN across channels."""
    top = "data"
    for number, width, kernel, pad in ((1, 96, 7, 0), (2, 256, 5, 1)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        pad=pad, stride=2)
        top = lrn(net, f"norm{number}", top, local_size=5, alpha=0.0005, beta=0.75, k=2)
        top = max_pool(net, f"pool{number}", top, 3, 2)
    for number in (3, 4, 5):
        top = conv_relu(net, f"conv{number}", top, 512, 3, rates, f"relu{number}", pad=1)
    return top


def vgg16_features(net, rates):
    """Simonyan and Zisserman's thirteen 3x3 convolutions, without the last pooling."""
    top = "data"
    for block, (count, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        if block > 1:
            top = max_pool(net, f"pool{block - 1}", top, 2, 2)
        for i in range(1, count + 1):
            top = conv_relu(net, f"conv{block}_{i}", top, width, 3, rates, f"relu{block}_{i}",
                            pad=1)
    return top


def caffenet_features(net, rates):
    """BVLC's AlexNet, padded so that features lie 16 pixels apart from the image's border on."""
    top = "data"
    for number, width, kernel, geometry in ((1, 96, 11, {"pad": 5, "stride": 4}),
                                            (2, 256, 5, {"pad": 2, "group": 2})):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu{number}",
                        **geometry)
        top = max_pool(net, f"pool{number}", top, 3, 2, pad=1)
        top = lrn(net, f"norm{number}", top, local_size=5, alpha=0.0001, beta=0.75)
    for number, width, group in ((3, 384, 1), (4, 384, 2), (5, 256, 2)):
        top = conv_relu(net, f"conv{number}", top, width, 3, rates, f"relu{number}", pad=1,
                        group=group)
    return top


def tiny_features(net, rates):
    """A small stack for the embedded data set: images of about 200 pixels, two CPU cores.

    Six convolutions, stride 8; a feature sees 65 pixels of the image.
    """
    top = "data"
    for number, width, kernel, stride in ((1, 16, 5, 2), (2, 32, 3, 2), (3, 64, 3, 2),
                                          (4, 96, 3, 1), (5, 96, 3, 1), (6, 96, 3, 1)):
        top = conv_relu(net, f"conv{number}", top, width, kernel, rates, f"relu_conv{number}",
                        pad=kernel // 2, stride=stride)
    return top


BACKBONES = (
    Backbone("ZF", "ZF", "zf", zf_features, channels=256, rpn_width=256, pooled=6,
             widths=(4096, 4096),
             rpn_names=("rpn_conv1", "rpn_relu1", "rpn_conv1"),
             pool_names=("roi_pool_conv5", "roi_pool_conv5"), loss_tops=("cls_loss", "bbox_loss"),
             dropout={"dropout_ratio": 0.5, "scale_train": False}, dropout_in_test=True,
             carried=("relu6",), cls_loss=dict(LABELS_BLOCKED, **LOSS_NORMALIZED),
             cls_prob=LOSS_NORMALIZED, iter_size=2),
    Backbone("VGG_CNN_M_1024", "VGG_CNN_M_1024", "vgg_cnn_m_1024", cnn_m_features, channels=512,
             rpn_width=256, pooled=6, widths=(4096, 1024), frozen=("conv1",),
             cls_loss=LABELS_BLOCKED),
    Backbone("VGG16", "VGG_ILSVRC_16_layers", "vgg16", vgg16_features, channels=512,
             rpn_width=512, pooled=7, widths=(4096, 4096),
             frozen=("conv1_1", "conv1_2", "conv2_1", "conv2_2"), carried=("relu6", "drop6"),
             dummy_filler={"type": "constant", "value": 0}, iter_size=2),
    # fc6 and fc7 are new, since SqueezeNet classifies by a convolution, and so free to stand on
    # ROIAlign; anchors from 32 pixels on
    Backbone("SqueezeNet", "SqueezeNet", "squeezenet", detector_features, channels=512,
             rpn_width=256, pooled=6, aligned=True, widths=(512, 512), frozen=("conv1",),
             scales=(2, 4, 8, 16, 32), fc_filler=xavier(), dropout=None, carried=("relu6",),
             cls_loss=LABELS_BLOCKED, base_lr=0.01),
    Backbone("Tiny", "Tiny", "tiny", tiny_features, channels=96, rpn_width=96, pooled=5, stride=8,
             widths=(128, 128), frozen=("conv1",), scales=(1.5, 2.5, 4, 6), fc_filler=xavier(),
             dropout=None,
             carried=("relu6",), cls_loss=LABELS_BLOCKED, base_lr=0.02,
             iterations=(1500, 3000, 600, 1600), joint_iterations=4200),
    # shared layers and heads as in He et al. 2016: the last stage runs on each roi
    Backbone("ResNet-50", "ResNet-50", "resnet50", resnet.resnet50_features, channels=1024,
             rpn_width=512, pooled=14, head=resnet.resnet_head, frozen=resnet.FROZEN,
             pool_names=("roi_pool", "roi_pool"), cls_loss=LABELS_BLOCKED, iter_size=2),
    Backbone("ResNet-101", "ResNet-101", "resnet101", resnet.resnet101_features, channels=1024,
             rpn_width=512, pooled=14, head=resnet.resnet_head, frozen=resnet.FROZEN,
             pool_names=("roi_pool", "roi_pool"), cls_loss=LABELS_BLOCKED, iter_size=2),
    Backbone("MobileNet", "MobileNet", "mobilenet", mobilenet.mobilenet_features, channels=512,
             rpn_width=256, pooled=14, head=mobilenet.mobilenet_head, frozen=mobilenet.FROZEN,
             pool_names=("roi_pool", "roi_pool"), cls_loss=LABELS_BLOCKED, iter_size=2),
    # as published, for Fast R-CNN only
    Backbone("CaffeNet", "CaffeNet", "caffenet", caffenet_features, channels=256, rpn_width=256,
             pooled=6, widths=(4096, 4096), frozen=("conv1",), cls_loss=LABELS_BLOCKED),
)
