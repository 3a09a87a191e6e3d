"""What tells one detector from another: its backbone, the data set it is made for, its anchors."""
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from caffe.net_spec import NetSpec
from faster_rcnn.anchors.options import UNCHANGED, AnchorOptions
from faster_rcnn.networks.backbones.layers import Fields, Rates

# Fields of the layer loss_cls
LOSS_NORMALIZED: Fields = {"loss_param": {"ignore_label": -1, "normalize": True}}
LABELS_BLOCKED: Fields = {"propagate_down": [True, False]}


@dataclass(frozen=True)
class DataSet:
    """What the nets of a data set differ by."""

    folder: str                     # models/<folder>
    classes: int                    # with the background
    joint_iterations: int           # of joint training, as published
    fast_rcnn_schedule: tuple[int, int]     # iterations of Fast R-CNN, and until the rate drops
    anchors: AnchorOptions = UNCHANGED      # instead of the backbone's own
    dropout: bool = True


PASCAL_VOC = DataSet("pascal_voc", classes=21, joint_iterations=70000,
                     fast_rcnn_schedule=(40000, 30000))
COCO = DataSet("coco", classes=81, joint_iterations=490000, fast_rcnn_schedule=(280000, 200000),
               anchors=AnchorOptions(scales=(4, 8, 16, 32)), dropout=False)


@dataclass(frozen=True)
class Backbone:
    """A backbone, and what a detector on it looks like. Defaults are those of the VGG nets."""

    folder: str                     # models/<data set>/<folder>
    title: str                      # the net's own name
    prefix: str                     # of snapshots: <prefix>_rpn_stage1_iter_N.caffemodel
    features: Callable[[NetSpec, Rates], str]   # adds the shared layers, returns their top
    channels: int                   # of that top
    rpn_width: int                  # outputs of the RPN's 3x3 convolution
    pooled: int                     # a roi's features lie in pooled x pooled bins
    aligned: bool = False           # ROIAlign makes them, not ROIPooling
    widths: tuple[int, ...] = ()    # of fc6 and fc7
    # instead of fc6 and fc7: head(net, pooled, rates, stride) adds convolutions that leave
    # bins x bins, returns their mean
    head: Callable[[NetSpec, str, Rates, int], str] | None = None
    bins: int = 7
    frozen: tuple[str, ...] = ()    # shared layers that stage 1 does not train
    stride: int = 16                # image pixels per feature
    anchors: AnchorOptions = UNCHANGED
    rpn_names: tuple[str, str, str] = ("rpn_conv/3x3", "rpn_relu/3x3", "rpn/output")
                                    # layer, its ReLU, their top
    pool_names: tuple[str, str] = ("roi_pool5", "pool5")    # layer, its top
    loss_tops: tuple[str, str] = ("loss_cls", "loss_bbox")
    fc_filler: Fields | None = None     # None: fc6 and fc7 come with the initial weights
    dropout: Fields | None = field(default_factory=lambda: Fields(dropout_ratio=0.5))
    dropout_in_test: bool = False
    carried: tuple[str, ...] = ()   # layers that ride along beside fc6 and fc7
    # ... and the outputs as well, so that stage 2 goes on with them; published nets start them anew
    carries_outputs: bool = False
    dummy_filler: Fields = field(default_factory=lambda: {"type": "gaussian", "std": 0.01})
    cls_loss: Fields = field(default_factory=dict)  # further fields of the layer loss_cls
    cls_prob: Fields = field(default_factory=dict)  # further fields of the layer cls_prob
    base_lr: float = 0.001
    iterations: tuple[int, ...] | None = None   # of the four training steps; None: as published
    joint_iterations: int | None = None     # of joint training; None: the data set's
    iter_size: int = 1              # images per update in joint training
    # BGR, that the initial weights were made with; None: cfg.PIXEL_MEANS as it is
    pixel_means: tuple[float, float, float] | None = None
    data_set: DataSet = PASCAL_VOC

    def on(self, data_set: DataSet, anchors: AnchorOptions = UNCHANGED) -> "Backbone":
        """The backbone as it is used for a data set; anchors: instead of the data set's."""
        return replace(self, data_set=data_set,
                       anchors=anchors.or_else(data_set.anchors).or_else(self.anchors),
                       dropout=self.dropout if data_set.dropout else None)
