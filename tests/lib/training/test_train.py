"""Training: snapshots, initial weights, errors; on nets of a few parameters and small images."""
import os

import numpy as np
import pytest
from half_bytes import needs_bf16, precision
from small_training import seed

import caffe
from caffe.core.errors import CaffeError, WeightsError
from caffe.files import prototxt, weights
from caffe.solvers import reports
from faster_rcnn.settings.config import cfg
from faster_rcnn.training import loss_watch
from faster_rcnn.training.solver_wrapper import SolverWrapper, TrainingError
from faster_rcnn.training.train_net import train_net
from faster_rcnn.training.training_images import filter_roidb
from roi_data_layer.layer import RoIDataLayer

# --------------------------------------------------------------------------------------- snapshots

def test_lines_that_scripts_look_for(make, settings, roidb, tmp_path, caplog):
    with settings("rpn", SNAPSHOT_INFIX="stage1"), caplog.at_level("DEBUG"):
        paths = train_net(make("rpn", display=1), roidb, str(tmp_path / "new"), max_iters=10)
    lines = caplog.messages
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


@needs_bf16
@pytest.mark.parametrize("asked, told, found", (
    ("float32", "float32", "float32"), ("bf16", "float32", "bf16"), ("float32", "bf16", "bf16")))
def test_a_program_sets_the_precision(make, settings, roidb, tmp_path, asked, told, found):
    """By cfg, or by caffe.set_precision, which stays as it was."""
    with settings("fast_rcnn", PRECISION=asked), precision(told):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path))
        assert wrapper.solver.net.precision == found
        assert caffe.precision(caffe.TRAIN) == told


def test_weights_return_although_writing_fails(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path / "out"))
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "tiny_iter_0.caffemodel").mkdir()
        before = wrapper.solver.net.params["bbox_pred"][0].data.copy()
        with pytest.raises(WeightsError, match="cannot be written"):
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
    with settings("fast_rcnn"), pytest.raises(WeightsError, match="no weights for any layer"):
        SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path), pretrained_model=path)


def test_initial_weights_for_other_classes(make, settings, roidb, tmp_path, caplog):
    start = np.full((4, 3, 5, 5), 0.01, np.float32)
    path = str(tmp_path / "start.caffemodel")
    weights.write_weights(path, "start", [
        ("conv", "Convolution", [start, np.zeros(4, np.float32)]),
        ("cls_score", "", [np.full((21, 16), 9, np.float32), np.zeros(21, np.float32)]),
        ("bbox_pred", "", [np.full((12, 16), 7, np.float32), np.ones(12, np.float32)])])
    with settings("fast_rcnn"):
        with pytest.raises(WeightsError, match=r"cls_score.*\(21, 16\).*TRAIN.SKIP_MISMATCHED"):
            SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path), pretrained_model=path)
        cfg.TRAIN.SKIP_MISMATCHED = True
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path), pretrained_model=path)
    params = wrapper.solver.net.params
    assert (params["conv"][0].data == start).all() and (params["bbox_pred"][0].data == 7).all()
    assert np.abs(params["cls_score"][0].data).max() < 1
    assert "filled by their fillers: cls_score" in caplog.text


def test_a_solver_message_serves_as_well(make, settings, roidb, tmp_path):
    param = prototxt.read_solver(make("rpn"))
    param.base_lr = 0.125
    with settings("rpn"):
        wrapper = SolverWrapper(param, roidb, str(tmp_path))
        wrapper.train_model(1)
        assert wrapper.solver.lr == 0.125


def test_the_solver_file_says_by_which_rule(make, settings, roidb, tmp_path):
    with settings("rpn"):
        wrapper = SolverWrapper(make("rpn", type='"Adam"'), roidb, str(tmp_path))
        assert type(wrapper.solver) is caffe.AdamSolver
        wrapper.solver.step(2)
        wrapper.write_checkpoint()
        again = SolverWrapper(make("rpn", type='"Adam"'), roidb, str(tmp_path))
        assert again.restore_checkpoint() and again.solver.iter == 2
        with pytest.raises(CaffeError, match='unknown type "Adm".*did you mean "Adam"'):
            SolverWrapper(make("rpn", type='"Adm"'), roidb, str(tmp_path))


# ------------------------------------------------------------------------------------------ errors

def test_training_stops_when_the_loss_is_no_number(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        with pytest.raises(TrainingError, match=r"iteration \d+: the loss is (nan|inf)") as raised:
            train_net(make("fast_rcnn", base_lr=1e25), roidb, str(tmp_path), max_iters=50)
    message = str(raised.value)
    assert "loss_cls" in message or "loss_bbox" in message
    assert message.count("noise") == 2 and "\n" not in message
    assert not list(tmp_path.glob("*.caffemodel"))


@pytest.mark.parametrize("kind,count", (("fast_rcnn", 2), ("rpn", 1)))
def test_an_error_in_the_net_has_a_note_with_its_images(make, settings, roidb, tmp_path,
                                                        monkeypatch, kind, count):
    def fail(net):
        raise RuntimeError("the kernel failed")
    monkeypatch.setattr(caffe.Net, "run_backward", fail)
    with settings(kind), pytest.raises(RuntimeError, match="the kernel failed") as raised:
        train_net(make(kind), roidb, str(tmp_path), max_iters=3)
    [note] = raised.value.__notes__
    assert note.startswith("images of the minibatch: ") and note.count("noise") == count


def test_an_error_of_the_data_layer_names_its_image_alone(make, settings, roidb, tmp_path,
                                                          monkeypatch):
    def fail(layer):
        raise OSError("a.jpg is broken")
    monkeypatch.setattr(RoIDataLayer, "forward", fail)
    with settings("rpn"), pytest.raises(OSError, match="a.jpg") as raised:
        train_net(make("rpn"), roidb, str(tmp_path), max_iters=3)
    assert "images of the minibatch" not in "".join(getattr(raised.value, "__notes__", []))


def test_measured_statistics_are_impossible_with_an_rpn(make, settings, roidb, tmp_path):
    with settings("rpn", BBOX_REG=True), pytest.raises(ValueError, match="PRECOMPUTED True"):
        SolverWrapper(make("rpn"), roidb, str(tmp_path))


def test_class_count_of_the_net_must_fit(make, settings, roidb, tmp_path):
    solver = make("fast_rcnn")
    net = tmp_path / "fast_rcnn.pt"
    text = net.read_text().replace("'num_classes': 3", "'num_classes': 21")
    net.write_text(text.replace("num_output: 12", "num_output: 84"))
    with settings("fast_rcnn"):
        with pytest.raises(ValueError, match="bbox_pred has 84 outputs, .* 3 classes .*need 12"):
            SolverWrapper(solver, roidb, str(tmp_path))
    unlearned = text.replace('"bbox_pred"', '"deltas"').replace('top: "loss_bbox"', "")
    net.write_text(unlearned.replace("SmoothL1Loss", "Silence"))
    with settings("fast_rcnn"), pytest.raises(ValueError, match="for 21 classes .* set has 3"):
        SolverWrapper(solver, roidb, str(tmp_path))


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


def test_losses_are_read_at_the_display_and_before_a_snapshot_only(make, settings, roidb, tmp_path,
                                                                   monkeypatch):
    read = set()
    with settings("rpn"):
        wrapper = SolverWrapper(make("rpn", display=4), roidb, str(tmp_path))

        def noted(losses):
            read.add(wrapper.solver.iter)
            return list(map(float, losses))
        monkeypatch.setattr(reports, "read_scalars", noted)
        monkeypatch.setattr(loss_watch, "read_scalars", noted)
        wrapper.train_model(10)
    assert read == {0, 4, 8, 10}        # the solver counts an iteration after it has shown it


def test_a_loss_that_is_no_number_is_named_with_its_iteration(make, settings, roidb, tmp_path):
    """Though it is looked at later."""
    with settings("fast_rcnn"):
        messages = []
        for display in (1, 7, 200):
            seed()
            with pytest.raises(TrainingError) as raised:
                train_net(make("fast_rcnn", base_lr=1e25, display=display), roidb, str(tmp_path),
                          max_iters=90)
            messages.append(str(raised.value))
    assert messages[0] == messages[1] == messages[2]
