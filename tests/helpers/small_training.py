"""Nets of a few parameters to train, and trainings that die."""
import numpy as np

import caffe

CONV = """
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{
  num_output: 4 kernel_size: 5 stride: 4 pad: 2 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
"""
PYTHON = """
layer {{ name: "{name}" type: "Python" {links}
  python_param {{ module: "{module}" layer: "{layer}" param_str: "{options}" }} }}
"""
FAST_RCNN = CONV + """
layer {{ name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
  roi_pooling_param {{ pooled_w: 2 pooled_h: 2 spatial_scale: 0.25 }} }}
layer {{ name: "drop" type: "Dropout" bottom: "pool" top: "pool" }}
layer {{ name: "cls_score" type: "InnerProduct" bottom: "pool" top: "cls_score"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "bbox_pred" type: "InnerProduct" bottom: "pool" top: "bbox_pred"
  inner_product_param {{ num_output: 12 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "loss_cls" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels"
  top: "loss_cls" }}
layer {{ name: "loss_bbox" type: "SmoothL1Loss" bottom: "bbox_pred" bottom: "bbox_targets"
  bottom: "bbox_inside_weights" bottom: "bbox_outside_weights" top: "loss_bbox" }}
"""
RPN = CONV + """
layer {{ name: "score" type: "Convolution" bottom: "conv" top: "score" convolution_param {{
  num_output: 6 kernel_size: 1 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "delta" type: "Convolution" bottom: "conv" top: "delta" convolution_param {{
  num_output: 12 kernel_size: 1 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "flat" type: "Reshape" bottom: "score" top: "flat"
  reshape_param {{ shape {{ dim: 0 dim: 2 dim: -1 dim: 0 }} }} }}
layer {{ name: "loss_cls" type: "SoftmaxWithLoss" bottom: "flat" bottom: "labels" top: "loss_cls"
  propagate_down: 1 propagate_down: 0 loss_param {{ ignore_label: -1 normalize: true }} }}
layer {{ name: "loss_bbox" type: "SmoothL1Loss" bottom: "delta" bottom: "t" bottom: "i" bottom: "o"
  top: "loss_bbox" }}
"""
ROI_TOPS = ("data", "rois", "labels", "bbox_targets", "bbox_inside_weights", "bbox_outside_weights")
RPN_TOPS = ("data", "im_info", "gt_boxes")
SETTINGS = {
    "fast_rcnn": {"HAS_RPN": False, "BATCH_SIZE": 8, "IMS_PER_BATCH": 2, "BG_THRESH_LO": 0.0},
    "rpn": {"HAS_RPN": True, "BBOX_REG": False, "IMS_PER_BATCH": 1, "RPN_BATCHSIZE": 8,
            "RPN_POSITIVE_OVERLAP": 0.5},
}


def links(kind, names):
    return " ".join(f'{kind}: "{name}"' for name in names)


def data_layer(tops):
    return PYTHON.format(name="data", links=links("top", tops), module="roi_data_layer.layer",
                         layer="RoIDataLayer", options="'num_classes': 3")


def net_text(kind):
    if kind == "fast_rcnn":
        return data_layer(ROI_TOPS) + FAST_RCNN.format()
    anchors = PYTHON.format(
        name="anchors", module="rpn.anchor_target_layer", layer="AnchorTargetLayer",
        links=links("bottom", ("score", "gt_boxes", "im_info", "data")) + " " +
        links("top", ("labels", "t", "i", "o")), options="{'feat_stride': 4, 'scales': [1]}")
    head, losses = RPN.format().split('layer { name: "loss_cls"')
    return data_layer(RPN_TOPS) + head + anchors + 'layer { name: "loss_cls"' + losses


def seed():
    np.random.seed(3)
    caffe.set_random_seed(3)


class Killed(Exception):
    pass


def killed_after(monkeypatch, iterations):
    """Lets the next training die in its iteration `iterations` + 1."""
    step = caffe.SGDSolver.step

    def mortal(self, count):
        if self.iter == iterations:
            monkeypatch.undo()
            raise Killed
        step(self, count)
    monkeypatch.setattr(caffe.SGDSolver, "step", mortal)
