"""The nets and solvers of an R-FCN of one convolution: five-stage schedule, joint training."""
import os

STAGES = {"stage1_rpn": "60k80k", "stage1_rfcn_ohem": "80k120k", "stage2_rpn": "60k80k",
          "stage2_rfcn_ohem": "80k120k", "stage3_rpn": "60k80k"}
TARGETS = ("bbox_targets", "bbox_inside_weights", "bbox_outside_weights")
SOLVER = """train_net: "{net}" base_lr: 0.001 lr_policy: "step" gamma: 0.1 stepsize: 1 momentum: 0.9
weight_decay: 0.0005 display: 20 snapshot_prefix: "small_{kind}"
"""
CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}" {2} convolution_param {{
  num_output: {3} kernel_size: {4} weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
"""
PYTHON = """layer {{ name: "{0}" type: "Python" {1} python_param {{
  module: "{2}" layer: "{3}" param_str: "{4}" }} }}
"""
ANCHORS = "{'feat_stride': 4, 'scales': [2, 3]}"
RPN_LOSSES = """
layer { name: "rpn_loss_cls" type: "SoftmaxWithLoss" bottom: "flat" bottom: "rpn_labels"
  top: "rpn_loss_cls" propagate_down: true propagate_down: false
  loss_param { ignore_label: -1 normalize: true } }
layer { name: "rpn_loss_bbox" type: "SmoothL1Loss" bottom: "rpn_bbox_pred" bottom: "t" bottom: "i"
  bottom: "o" top: "rpn_loss_bbox" }
"""
FLAT = """layer { name: "flat" type: "Reshape" bottom: "rpn_cls_score" top: "flat"
  reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
"""
POOLED = """
layer {{ name: "{0}_rois" type: "PSROIPooling" bottom: "rfcn_{0}" bottom: "rois" top: "{0}_rois"
  psroi_pooling_param {{ spatial_scale: 0.25 output_dim: {1} group_size: 2 }} }}
layer {{ name: "{0}_mean" type: "Pooling" bottom: "{0}_rois" top: "{2}"
  pooling_param {{ pool: AVE kernel_size: 2 stride: 2 }} }}
"""
LOSSES = """
layer { name: "per_roi_loss_cls" type: "SoftmaxWithLossOHEM" bottom: "cls_score" bottom: "labels"
  top: "a" top: "b" top: "c" loss_weight: 0 loss_weight: 0 loss_weight: 0
  propagate_down: false propagate_down: false }
layer { name: "per_roi_loss_bbox" type: "SmoothL1LossOHEM" bottom: "bbox_pred"
  bottom: "bbox_targets" bottom: "bbox_inside_weights" top: "d" top: "e" loss_weight: 0
  loss_weight: 0 propagate_down: false propagate_down: false propagate_down: false }
layer { name: "sum" type: "Eltwise" bottom: "c" bottom: "e" top: "f" propagate_down: false
  propagate_down: false }
layer { name: "annotator" type: "BoxAnnotatorOHEM" bottom: "rois" bottom: "f" bottom: "labels"
  bottom: "bbox_inside_weights" top: "hard_labels" top: "hard_weights" propagate_down: false
  propagate_down: false propagate_down: false propagate_down: false
  box_annotator_ohem_param { roi_per_img: 8 ignore_label: -1 } }
layer { name: "silence" type: "Silence" bottom: "bbox_outside_weights" bottom: "a" bottom: "b"
  bottom: "d" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "hard_labels"
  top: "loss" propagate_down: true propagate_down: false loss_param { ignore_label: -1 } }
layer { name: "loss_bbox" type: "SmoothL1LossOHEM" bottom: "bbox_pred" bottom: "bbox_targets"
  bottom: "hard_weights" top: "loss_bbox" loss_weight: 1 propagate_down: true
  propagate_down: false propagate_down: false
  loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 8 } }
"""


def write_nets(folder):
    """Writes two test nets, five training nets and their solvers for 21 classes into a folder."""
    os.makedirs(folder)
    texts = {"rpn_test.pt": _inputs("im_info { dim: 1 dim: 3 }") + _rpn("") + _proposals(),
             "rfcn_test.pt": _inputs("rois { dim: 1 dim: 5 }") + _maps("") + _outputs()}
    for stage, numbers in STAGES.items():
        kind = stage[len("stage1_"):]
        texts[f"{stage}_train.pt"] = _rpn_train(stage) if kind == "rpn" else _rfcn_train()
        texts[f"{stage}_solver{numbers}.pt"] = SOLVER.format(
            net=os.path.join(folder, f"{stage}_train.pt"), kind=kind)
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def _inputs(second):
    name, shape = second.split(" ", 1)
    return (f'input: "data" input_shape {{ dim: 1 dim: 3 dim: 60 dim: 80 }}\n'
            f'input: "{name}" input_shape {shape}\n')


def _links(kind, names):
    return " ".join(f'{kind}: "{name}"' for name in names)


def _shared(rates):
    geometry = CONV.format("conv", "data", rates, 8, 5)
    return geometry.replace("kernel_size: 5", "kernel_size: 5 stride: 4 pad: 2")


def _rpn(rates):
    return (_shared(rates) + CONV.format("rpn_cls_score", "conv", "", 12, 1)
            + CONV.format("rpn_bbox_pred", "conv", "", 24, 1) + FLAT)


def _proposals():
    reshape = FLAT.replace("flat", "prob_map").replace("rpn_cls_score", "prob").replace(
        "dim: 2 dim", "dim: 12 dim")
    return ('layer { name: "prob" type: "Softmax" bottom: "flat" top: "prob" }\n' + reshape
            + PYTHON.format("proposal", _links("bottom", ("prob_map", "rpn_bbox_pred", "im_info"))
                            + " " + _links("top", ("rois", "scores")), "rpn.proposal_layer",
                            "ProposalLayer", ANCHORS))


def _rpn_train(stage):
    data = PYTHON.format("data", _links("top", ("data", "im_info", "gt_boxes")),
                         "roi_data_layer.layer", "RoIDataLayer", "'num_classes': 21")
    links = (_links("bottom", ("rpn_cls_score", "gt_boxes", "im_info", "data")) + " "
             + _links("top", ("rpn_labels", "t", "i", "o")))
    anchors = PYTHON.format("rpn-data", links, "rpn.anchor_target_layer", "AnchorTargetLayer",
                            ANCHORS)
    frozen = "param { lr_mult: 0 decay_mult: 0 } " * 2 if stage != "stage1_rpn" else ""
    return data + _rpn(frozen) + anchors + RPN_LOSSES


def _maps(rates, boxes="bbox_pred_pre"):
    return _shared(rates) + _pooled(boxes)


def _pooled(boxes="bbox_pred_pre"):
    return (CONV.format("rfcn_cls", "conv", "", 21 * 4, 1)
            + CONV.format("rfcn_bbox", "conv", "", 8 * 4, 1)
            + POOLED.format("cls", 21, "cls_score") + POOLED.format("bbox", 8, boxes))


def _outputs():
    return "".join(['layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" '
                    'top: "cls_prob_pre" }\n']
                   + [f'layer {{ name: "{blob}_reshape" type: "Reshape" bottom: "{blob}_pre" '
                      f'top: "{blob}" reshape_param {{ shape {{ dim: -1 dim: {columns} }} }} }}\n'
                      for blob, columns in (("cls_prob", 21), ("bbox_pred", 8))])


def _rfcn_train():
    data = PYTHON.format("data", _links("top", ("data", "rois", "labels") + TARGETS),
                         "roi_data_layer.layer", "RoIDataLayer", "'num_classes': 2")
    return data + _maps("", "bbox_pred") + LOSSES


def write_joint_nets(folder):
    """Writes the nets and solvers of rfcn_end2end for 21 classes into a folder."""
    os.makedirs(folder)
    texts = {"test_agnostic.prototxt": _inputs("im_info { dim: 1 dim: 3 }") + _rpn("")
             + _proposals() + _pooled() + _outputs()}
    for suffix in ("", "_ohem"):
        name = f"train_agnostic{suffix}.prototxt"
        texts[name] = _joint_train()
        texts[f"solver{suffix}.prototxt"] = SOLVER.format(
            net=os.path.join(folder, name), kind="rfcn" + suffix)
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def _joint_train():
    proposals = _proposals().replace('"rois"', '"rpn_rois"').replace('top: "scores"', "")
    sampled = PYTHON.format(
        "roi-data", _links("bottom", ("rpn_rois", "gt_boxes")) + " "
        + _links("top", ("rois", "labels") + TARGETS), "rpn.proposal_target_layer",
        "ProposalTargetLayer", "'num_classes': 2")
    return _rpn_train("stage1_rpn") + proposals + sampled + _pooled("bbox_pred") + LOSSES
