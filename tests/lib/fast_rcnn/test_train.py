"""Training: snapshots, exact resume, errors; on nets of a few parameters and four small images."""
import os

import cv2
import numpy as np
import pytest
import scipy.sparse

import caffe
from caffe import prototxt, weights
from fast_rcnn import checkpoint
from fast_rcnn.config import cfg_override
from fast_rcnn.train import SolverWrapper, TrainingError, filter_roidb, train_net
from roi_data_layer.roidb import prepare_roidb

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
layer {{ name: "loss_cls" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels" top: "loss_cls" }}
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
  loss_param {{ ignore_label: -1 normalize: true }} }}
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


@pytest.fixture
def make(tmp_path):
    """make(kind, **numbers): path of a solver's prototxt, with its net beside it."""
    def make(kind, **numbers):
        net, solver = tmp_path / f"{kind}.pt", tmp_path / f"{kind}_solver.pt"
        net.write_text(net_text(kind))
        numbers = {"base_lr": 0.02, "lr_policy": '"step"', "gamma": 0.5, "stepsize": 5,
                   "momentum": 0.9, "weight_decay": 0.0005, "display": 0, **numbers}
        lines = [f"{key}: {value}" for key, value in numbers.items()]
        solver.write_text(f'train_net: "{net}"\nsnapshot_prefix: "tiny"\n' + "\n".join(lines))
        return str(solver)
    return make


@pytest.fixture
def settings():
    """settings(kind, **more): the configuration of a kind of net, on small images."""
    return lambda kind, **more: cfg_override(TRAIN={
        "SCALES": [48], "MAX_SIZE": 80, "SNAPSHOT_ITERS": 1000, **SETTINGS[kind], **more})


@pytest.fixture
def roidb(tmp_path):
    """Four noisy images with two annotations and twenty proposals each."""
    from datasets.imdb import imdb
    rng, entries = np.random.RandomState(5), []

    class Noise(imdb):
        def __init__(self):
            imdb.__init__(self, "noise")
            self._image_index = list(range(4))
            self.roidb_handler = lambda: entries

        def image_path_at(self, i):
            return str(tmp_path / f"noise{i}.png")

    for i in range(4):
        cv2.imwrite(str(tmp_path / f"noise{i}.png"), rng.randint(0, 256, (48, 64, 3), np.uint8))
        gt = np.array([[4, 4, 19, 19], [30, 20, 45, 35]]) + rng.randint(0, 4, (2, 1))
        near = np.repeat(gt, 10, axis=0) + rng.randint(-4, 5, (20, 4))
        overlaps = np.zeros((22, 3), np.float32)
        overlaps[[0, 1], [1, 2]] = 1
        overlaps[2:12, 1] = overlaps[12:, 2] = rng.rand(10)
        entries.append({"boxes": np.vstack((gt, near)).astype(np.float32), "flipped": i % 2 == 1,
                        "gt_classes": np.array([1, 2] + [0] * 20, np.int32),
                        "gt_overlaps": scipy.sparse.csr_matrix(overlaps)})
    prepare_roidb(Noise())
    return entries


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


# ------------------------------------------------------------------------------------------ resume

@pytest.mark.parametrize("kind", ["fast_rcnn", "rpn"])
@pytest.mark.parametrize("threads", [0, 2])
def test_resumed_training_equals_an_uninterrupted_one(make, settings, roidb, tmp_path, monkeypatch,
                                                      kind, threads):
    solver = make(kind, iter_size=2 if kind == "rpn" else 1)
    with settings(kind, CHECKPOINT_ITERS=4, SNAPSHOT_ITERS=3, LOADER_THREADS=threads):
        seed()
        whole = train_net(solver, roidb, str(tmp_path / "whole"), max_iters=11)
        seed()
        killed_after(monkeypatch, 7)
        with pytest.raises(Killed):
            train_net(solver, roidb, str(tmp_path / "parts"), max_iters=11)
        np.random.seed(99)
        caffe.set_random_seed(99)
        parts = train_net(solver, roidb, str(tmp_path / "parts"), max_iters=11, resume=True)
    assert [os.path.basename(path) for path in parts] == [
        f"tiny_iter_{n}.caffemodel" for n in (3, 6, 9, 11)]
    assert sorted(os.listdir(tmp_path / "parts")) == sorted(os.listdir(tmp_path / "whole"))
    for one, other in zip(whole, parts):
        one, other = weights.read_weights(one), weights.read_weights(other)
        assert list(one) == list(other)
        for name in one:
            for a, b in zip(one[name], other[name]):
                assert np.array_equal(a, b), name


def test_training_without_a_checkpoint_starts_over(make, settings, roidb, tmp_path):
    with settings("rpn"):
        paths = train_net(make("rpn"), roidb, str(tmp_path), max_iters=2, resume=True)
    assert paths == [str(tmp_path / "tiny_iter_2.caffemodel")]


def test_checkpoint_of_other_images_is_refused(make, settings, roidb, tmp_path):
    solver = make("rpn")
    with settings("rpn"):
        SolverWrapper(solver, roidb, str(tmp_path)).write_checkpoint()
        with pytest.raises(ValueError, match="tiny_checkpoint.npz belongs to .* other images"):
            train_net(solver, roidb[:3], str(tmp_path), max_iters=2, resume=True)


def test_damaged_checkpoint_is_named(make, settings, roidb, tmp_path):
    with settings("rpn"):
        wrapper = SolverWrapper(make("rpn"), roidb, str(tmp_path))
        wrapper.write_checkpoint()
        content = (tmp_path / "tiny_checkpoint.npz").read_bytes()
        for damaged in (content[:len(content) // 2], b"", b"x" * 100):
            (tmp_path / "tiny_checkpoint.npz").write_bytes(damaged)
            with pytest.raises(ValueError, match="tiny_checkpoint.npz is not a checkpoint"):
                wrapper.restore_checkpoint()


def test_checkpoint_file_keeps_names_and_arrays(tmp_path):
    sections = {"solver": {"conv/a:0": np.arange(3, dtype=np.float32), "iter": 7},
                "files": {"paths": np.array(["a", "bc"])}}
    checkpoint.write(str(tmp_path / "c.npz"), sections)
    read = checkpoint.read(str(tmp_path / "c.npz"))
    assert read["solver"]["conv/a:0"].tolist() == [0, 1, 2] and int(read["solver"]["iter"]) == 7
    assert read["files"]["paths"].tolist() == ["a", "bc"]


def test_generators_are_restored():
    seed()
    np.random.randn()                                # leaves a second normal number behind
    state = {key: np.asarray(value) for key, value in checkpoint.generator_state().items()}
    wanted = np.random.randn(3).tolist()
    np.random.seed(8)
    checkpoint.restore_generators(state)
    assert np.random.randn(3).tolist() == wanted


# --------------------------------------------------------------------------------------- snapshots

def test_lines_that_scripts_look_for(make, settings, roidb, tmp_path, capsys):
    with settings("rpn", SNAPSHOT_INFIX="stage1"):
        paths = train_net(make("rpn", display=1), roidb, str(tmp_path / "new"), max_iters=10)
    lines = capsys.readouterr().out.strip().split("\n")
    path = str(tmp_path / "new" / "tiny_stage1_iter_10.caffemodel")
    assert paths == [path]
    assert lines[-2:] == [f"Wrote snapshot to: {path}", "done solving"]
    assert any(line.startswith("speed: ") and line.endswith("s / iter") for line in lines)
    assert os.listdir(tmp_path / "new") == ["tiny_stage1_iter_10.caffemodel"]


def test_file_holds_plain_box_weights(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path))
        stored = weights.read_weights(wrapper.snapshot())["bbox_pred"]
        weight, bias = (blob.data for blob in wrapper.solver.net.params["bbox_pred"])
    np.testing.assert_allclose(stored[0], weight * wrapper.bbox_stds[:, None], rtol=1e-6)
    np.testing.assert_allclose(stored[1], bias * wrapper.bbox_stds + wrapper.bbox_means, rtol=1e-6)
    assert (wrapper.bbox_stds[4:] > 0).all() and weight.any()


def test_weights_return_although_writing_fails(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path / "out"))
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "tiny_iter_0.caffemodel").mkdir()
        before = wrapper.solver.net.params["bbox_pred"][0].data.copy()
        with pytest.raises(OSError):
            wrapper.snapshot()
        assert (wrapper.solver.net.params["bbox_pred"][0].data == before).all()


def test_initial_weights_are_loaded(make, settings, roidb, tmp_path, caplog):
    start = np.arange(300, dtype=np.float32).reshape(4, 3, 5, 5) / 1e4
    path = str(tmp_path / "start.caffemodel")
    layers = [("conv", "Convolution", [start, np.zeros(4, np.float32)]),
              ("fc9", "InnerProduct", [np.zeros((2, 2), np.float32)])]
    weights.write_weights(path, "start", layers)
    with settings("fast_rcnn"), caplog.at_level("INFO"):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path), pretrained_model=path)
    assert (wrapper.solver.net.params["conv"][0].data == start).all()
    line = next(message for message in caplog.messages if "copied: 1 layers" in message)
    assert "cls_score, bbox_pred" in line and "fc9" in line
    weights.write_weights(path, "start", layers[1:])
    with settings("fast_rcnn"), pytest.raises(ValueError, match="no weights for any layer"):
        SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path), pretrained_model=path)


def test_a_solver_message_serves_as_well(make, settings, roidb, tmp_path):
    param = prototxt.read_solver(make("rpn"))
    param.base_lr = 0.125
    with settings("rpn"):
        wrapper = SolverWrapper(param, roidb, str(tmp_path))
        wrapper.train_model(1)
        assert wrapper.solver.lr == 0.125


# ------------------------------------------------------------------------------------------ errors

def test_training_stops_when_the_loss_is_no_number(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        with pytest.raises(TrainingError, match=r"iteration \d+: the loss is (nan|inf)") as raised:
            train_net(make("fast_rcnn", base_lr=1e25), roidb, str(tmp_path), max_iters=50)
    message = str(raised.value)
    assert "loss_cls" in message or "loss_bbox" in message
    assert message.count("noise") == 2 and "\n" not in message
    assert not list(tmp_path.glob("*.caffemodel"))


def test_measured_statistics_are_impossible_with_an_rpn(make, settings, roidb, tmp_path):
    with settings("rpn", BBOX_REG=True), pytest.raises(ValueError, match="PRECOMPUTED True"):
        SolverWrapper(make("rpn"), roidb, str(tmp_path))


def test_class_count_of_the_net_must_fit(make, settings, roidb, tmp_path):
    solver = make("fast_rcnn")
    net = tmp_path / "fast_rcnn.pt"
    net.write_text(net.read_text().replace("num_output: 12", "num_output: 84"))
    with settings("fast_rcnn"):
        wrapper = SolverWrapper(solver, roidb, str(tmp_path))
        with pytest.raises(ValueError, match="bbox_pred has 84 outputs, but .* 3 classes need 12"):
            wrapper.snapshot()


def test_tops_must_fit_the_settings(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"), pytest.raises(Exception, match="3 tops, .*there are 6: data, rois"):
        SolverWrapper(make("rpn"), roidb, str(tmp_path))


def test_forward_before_set_roidb(make, settings):
    with settings("rpn"):
        net = caffe.SGDSolver(make("rpn")).net
        with pytest.raises(Exception, match="call set_roidb"):
            net.forward()


def test_roidb_without_usable_images():
    good = {"max_overlaps": np.array([0.7])}
    nothing = {"max_overlaps": np.zeros(0)}
    assert filter_roidb([nothing, good]) == [good]
    with pytest.raises(ValueError, match="none of the 1 training images"):
        filter_roidb([nothing])
