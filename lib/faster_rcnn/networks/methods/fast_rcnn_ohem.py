"""The net and the solver of `fast_rcnn_ohem` (Shrivastava et al. 2016): Fast R-CNN on hard rois.

A read-only copy of the head (its weights are shared by name, no gradient passes it) finds the
losses of all rois; those with the largest ones train the head. Tested with the net of `fast_rcnn`.
"""
from functools import partial

from caffe.net_spec import NetSpec
from caffe.proto import caffe_pb2
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import (
    CommentedNet,
    bias_undecayed,
    param_str,
    trained_except,
)
from faster_rcnn.networks.methods import detector
from faster_rcnn.networks.methods.detector import TARGETS, Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "fast_rcnn_ohem"
MINED = ["rois", "labels"] + TARGETS


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    iterations, stepsize = backbone.data_set.fast_rcnn_schedule
    return {"train.prototxt": partial(train, backbone),
            "solver.prototxt": partial(solver_text, backbone, f"{METHOD}/train.prototxt",
                                       "fast_rcnn", stepsize, iterations, iter_size=2)}


def train(backbone: Backbone) -> CommentedNet:
    """Images and all their rois in; two losses of the hard ones out."""
    net = NetSpec()
    detector.data_layer(net, backbone, "data", ["data"] + MINED)
    features = backbone.features(net, trained_except(backbone.frozen, bias_undecayed))
    pooled = detector.pool_rois(net, backbone, features)
    detector.train_head(net, backbone, pooled, bias_undecayed)
    proto, comments = detector.finish(net, backbone)
    pool = backbone.pool_names[0]
    start = [layer.name for layer in proto.layer].index(pool)
    shared, head = list(proto.layer[:start]), list(proto.layer[start:])
    for layer in head:
        for param, kind in zip(layer.param, "wb"):
            param.name = f"{layer.name}_{kind}"
    mining = [_readonly(layer, head) for layer in head if not layer.type.endswith("Loss")]
    mining += [_probabilities(), _miner(backbone)]
    for layer in head:
        _take_hard_rois(layer)
    del proto.layer[:]
    proto.layer.extend(shared + mining + head)
    return CommentedNet(proto, {
        **comments, f"{pool}_readonly": "Losses of all rois, by a copy of the head"})


def _readonly(layer, head):
    """A copy of a head's layer that passes no gradient on and owns no rates."""
    made = {top for other in head for top in other.top}
    copy = caffe_pb2.LayerParameter()
    copy.CopyFrom(layer)
    copy.name += "_readonly"
    for blobs in (copy.bottom, copy.top):
        blobs[:] = [f"{blob}_readonly" if blob in made else blob for blob in blobs]
    for param in copy.param:
        param.ClearField("lr_mult")
        param.ClearField("decay_mult")
    copy.propagate_down[:] = [False] * len(copy.bottom)
    return copy


def _probabilities():
    return caffe_pb2.LayerParameter(
        name="cls_prob_readonly", type="Softmax", bottom=["cls_score_readonly"],
        top=["cls_prob_readonly"], propagate_down=[False])


def _miner(backbone):
    bottoms = ["cls_prob_readonly", "bbox_pred_readonly"] + MINED
    return caffe_pb2.LayerParameter(
        name="hard_roi_mining", type="Python", bottom=bottoms,
        top=[f"{blob}_hard" for blob in MINED], propagate_down=[False] * len(bottoms),
        python_param={
            "module": "roi_data_layer.layer", "layer": "OHEMDataLayer",
            "param_str": param_str(num_classes=backbone.data_set.classes)})


def _take_hard_rois(layer):
    """Mined blobs instead of those of the data layer; no gradient to them."""
    mined = [blob in MINED for blob in layer.bottom]
    if any(mined):
        layer.propagate_down[:] = [not is_mined for is_mined in mined]
        layer.bottom[:] = [f"{blob}_hard" if is_mined else blob
                           for blob, is_mined in zip(layer.bottom, mined)]
