"""The Python layers of the RPN in a net, with the original's draws: every row in its place."""
import json

import numpy as np

import caffe
from golden_pfr import check, near

TARGETS = ("labels", "bbox_targets", "bbox_inside_weights", "bbox_outside_weights")


def run_layer(case, module, layer, inputs, tops, phase):
    """The tops, by name, of a net of Input layers and one Python layer."""
    text = "".join(
        f'layer {{ name: "in_{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {max(1, d)}" for d in value.shape) + " } } }\n"
        for name, value in inputs.items())
    text += 'layer { name: "tested" type: "Python" ' + " ".join(
        [f'bottom: "{name}"' for name in inputs] + [f'top: "{name}"' for name in tops])
    text += (f' python_param {{ module: "{module}" layer: "{layer}" '
             f'param_str: {json.dumps(case.meta["param_str"])} }} }}')
    net = caffe.Net(caffe.prototxt.read_net_text(text), phase)
    np.random.seed(case.meta.get("seed") or 0)
    for name, value in inputs.items():
        net.blobs[name].reshape(*value.shape)
        net.blobs[name].data[...] = value
    net.forward()
    return {name: np.array(net.blobs[name].data) for name in tops}


@check("anchor_target")
def check_anchor_target(case):
    height, width = case["in_im_info"][0, :2].astype(int)
    inputs = {"rpn_cls_score": np.zeros(case.meta["rpn_cls_score_shape"]),
              "gt_boxes": case["in_gt_boxes"], "im_info": case["in_im_info"],
              "data": np.zeros(case.meta.get("data_shape", (1, 3, height, width)))}
    got = run_layer(case, "rpn.anchor_target_layer", "AnchorTargetLayer", inputs, TARGETS,
                    caffe.TRAIN)
    for name, tolerance in zip(TARGETS, ((0, 0), (2e-5, 0), (0, 0), (0, 1e-6)), strict=True):
        near(got[name], case["out_" + name], *tolerance, what=name)


@check("proposal_layer")
def check_proposals(case):
    inputs = {name: case["in_" + name]
              for name in ("rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info")}
    tops = ("rois", "scores") if case.meta["two_tops"] else ("rois",)
    got = run_layer(case, "rpn.proposal_layer", "ProposalLayer", inputs, tops,
                    getattr(caffe, case.meta["phase"]))
    for name in tops:
        near(got[name], case["out_" + name], 2e-3 if name == "rois" else 0, what=name)


@check("proposal_target")
def check_proposal_target(case):
    inputs = {"rpn_rois": case["in_rois"], "gt_boxes": case["in_gt_boxes"]}
    tops = ("rois", *TARGETS)
    got = run_layer(case, "rpn.proposal_target_layer", "ProposalTargetLayer", inputs, tops,
                    caffe.TRAIN)
    tolerances = ((1e-4, 0), (0, 0), (1e-4, 1e-4), (0, 0), (0, 0))
    for name, tolerance in zip(tops, tolerances, strict=True):
        near(got[name], case["out_" + name], *tolerance, what=name)
