"""Online hard example mining: which rois are the hardest, by hand; its layer and its net."""
import os

import numpy as np
import pytest
import torch

import caffe
from caffe import prototxt
from fast_rcnn.adapt import adapt
from fast_rcnn.config import cfg, cfg_override
from roi_data_layer.ohem import hard_rois, roi_losses

NET = os.path.join(cfg.MODELS_DIR, "VGG_CNN_M_1024", "fast_rcnn_ohem", "train.prototxt")
ROIS = torch.tensor([[0.0, 0, 0, 9, 9], [0, 0, 0, 9, 8], [0, 0, 0, 9, 9], [1, 0, 0, 9, 9],
                     [0, 50, 50, 59, 59]])
LABELS = torch.tensor([1.0, 1, 0, 1, 1])
LOSSES = torch.tensor([1.0, 3, 2, 0.5, 0.1])
BLOBS = (("prob", (5, 2)), ("pred", (5, 8)), ("rois", (5, 5)), ("labels", (5,)), ("t", (5, 8)),
         ("i", (5, 8)), ("o", (5, 8)))


def test_the_loss_of_a_roi_by_hand():
    prob = torch.tensor([[0.25, 0.75], [0.5, 0.5], [1, 0]])
    labels = torch.tensor([0.0, 1, 1])
    targets, inside = torch.zeros(3, 8), torch.zeros(3, 8)
    inside[1:, 4:] = 1
    deltas = torch.full((3, 8), 9.0)
    deltas[1, 4:] = torch.tensor([0.5, -2, 0, 1])       # 0.125 + 1.5 + 0 + 0.5
    deltas[2, 4:] = 0
    losses = roi_losses(prob, labels, deltas, targets, inside, inside)
    # a probability of 0 counts as 2^-52
    assert losses.tolist() == pytest.approx([np.log(4), np.log(2) + 2.125, 52 * np.log(2)])
    assert roi_losses(prob, labels)[:2].tolist() == pytest.approx([np.log(4), np.log(2)])


def test_the_hardest_come_first():
    assert hard_rois(LOSSES, ROIS, LABELS, 3).tolist() == [1, 2, 0]
    assert hard_rois(LOSSES, ROIS, LABELS, -1).tolist() == [1, 2, 0, 3, 4]


def test_of_rois_that_overlap_only_the_hardest_counts():
    """Roi 0 overlaps the harder roi 1 by 0.9; 2 has another label, 3 is of another image."""
    assert hard_rois(LOSSES, ROIS, LABELS, 8, 0.7).tolist() == [1, 2, 3, 4]
    assert hard_rois(LOSSES, ROIS, LABELS, 2, 0.7).tolist() == [1, 2]
    assert hard_rois(LOSSES, ROIS, LABELS, 8, 0.95).tolist() == [1, 2, 0, 3, 4]


def layer_net(tmp_path, inputs=BLOBS, tops=5):
    text = "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
                   f'{" ".join(f"dim: {d}" for d in shape)} }} }} }}\n' for name, shape in inputs)
    links = " ".join(f'bottom: "{name}"' for name, _ in inputs)
    links += "".join(f' top: "hard{index}"' for index in range(tops))
    (tmp_path / "net.pt").write_text(text + f'''layer {{ name: "mine" type: "Python" {links}
  python_param {{ module: "roi_data_layer.layer" layer: "OHEMDataLayer"
                  param_str: "'num_classes': 2" }} }}''')
    return caffe.Net(str(tmp_path / "net.pt"), caffe.TRAIN)


@pytest.mark.parametrize("use_nms,rows", [(False, [1, 2]), (True, [1, 4])])
def test_the_layer_passes_on_the_rows_of_hard_rois(tmp_path, use_nms, rows):
    with cfg_override(TRAIN={"BATCH_SIZE": 2, "OHEM_USE_NMS": use_nms}):
        net = layer_net(tmp_path)
        rng = np.random.RandomState(0)
        given = {name: rng.rand(*shape).astype(np.float32) for name, shape in BLOBS}
        given.update(rois=ROIS.numpy(), labels=np.ones(5, np.float32),
                     i=np.zeros((5, 8), np.float32), o=np.zeros((5, 8), np.float32))
        # rois 0, 1 and 2 overlap; without boxes the loss is that of the classes
        given["rois"][3, 0] = 0
        given["prob"][:, 1] = [0.5, 0.1, 0.2, 0.9, 0.4]
        found = net.forward(**given)
    for index, (name, _) in enumerate(BLOBS[2:]):
        np.testing.assert_array_equal(found[f"hard{index}"], given[name][rows])


def test_a_wrong_number_of_bottoms_is_said_in_one_line(tmp_path):
    with pytest.raises(Exception, match='"mine".*7 bottoms and 5 tops were expected; received 4'):
        layer_net(tmp_path, BLOBS[:4], 2)


def test_the_copy_of_the_head_shares_its_weights_and_learns_nothing():
    layers = {layer.name: layer for layer in prototxt.read_net(NET).layer}
    for name in ("fc6", "fc7", "cls_score", "bbox_pred"):
        own, copy = layers[name], layers[f"{name}_readonly"]
        assert [p.name for p in own.param] == [p.name for p in copy.param] == [f"{name}_w",
                                                                              f"{name}_b"]
        assert [(p.lr_mult, p.decay_mult) for p in own.param] == [(1, 1), (2, 0)]
        assert not any(p.HasField("lr_mult") for p in copy.param)
        assert list(copy.propagate_down) == [False]
    miner = layers["hard_roi_mining"]
    assert list(miner.propagate_down) == [False] * 7
    assert list(miner.bottom)[:4] == ["cls_prob_readonly", "bbox_pred_readonly", "rois", "labels"]
    assert list(layers["roi_pool5"].bottom) == ["conv5", "rois_hard"]
    assert list(layers["loss_bbox"].bottom) == ["bbox_pred"] + [
        f"bbox_{kind}_hard" for kind in ("targets", "inside_weights", "outside_weights")]
    solver = prototxt.read_solver(os.path.join(os.path.dirname(NET), "solver.prototxt"))
    assert (solver.max_iter, solver.stepsize, solver.iter_size) == (40000, 30000, 2)


def test_the_class_count_follows_in_both_heads():
    net = prototxt.read_net(NET)
    assert adapt(net, 21, "net") == []
    adapt(net, 4, "net")
    layers = {layer.name: layer for layer in net.layer}
    for suffix in ("", "_readonly"):
        assert layers[f"cls_score{suffix}"].inner_product_param.num_output == 4
        assert layers[f"bbox_pred{suffix}"].inner_product_param.num_output == 16
    assert "'num_classes': 4" in layers["hard_roi_mining"].python_param.param_str
