"""tools/import_weights.py: checkpoints become weights that the engine loads; refusals."""
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_tool_errors import assert_refused
from torch_nets import ResNet, SimpleFasterRcnn, Vgg16, caffe_resnet50, randomized

import caffe
from caffe.files import weights
from faster_rcnn.networks.text import net_text
from faster_rcnn.settings.config import cfg, cfg_from_list, cfg_override

TOOL = "import_weights.py"


@pytest.fixture
def resnet(tmp_path):
    """(module, path of its checkpoint, path of the published prototxt)."""
    module = randomized(ResNet())
    torch.save(module.state_dict(), tmp_path / "resnet.pth")
    (tmp_path / "published.prototxt").write_text(net_text(caffe_resnet50()))
    return module, tmp_path / "resnet.pth", tmp_path / "published.prototxt"


def printed_means(done):
    line = next(line for line in done.out.splitlines() if "--set PIXEL_MEANS" in line)
    key, value = line.split("--set ")[1].split(" ", 1)
    with cfg_override():
        cfg_from_list([key, value.strip('"')])
        return cfg.PIXEL_MEANS.copy()


def test_resnet_with_its_own_strides(run_tool, resnet, tmp_path):
    module, checkpoint, published = resnet
    done = run_tool(TOOL, "--from", checkpoint, "--out", tmp_path / "w.caffemodel", "--def",
                    published, "--out_def", tmp_path / "own.prototxt")
    assert done.status == 0, done.err
    assert "the stride 2 of res3a_branch2a moves to res3a_branch2b" in done.out
    net = caffe.Net(str(tmp_path / "own.prototxt"), str(tmp_path / "w.caffemodel"), caffe.TEST)
    assert not net.last_copy.missing and not net.last_copy.ignored_source
    im = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    net.blobs["data"].data[0] = (im - printed_means(done)).transpose(2, 0, 1)
    x = torch.from_numpy(im[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1)
                 for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = module((x - mean) / std).numpy()
    np.testing.assert_allclose(net.forward()["fc1000"], expected, rtol=1e-3, atol=1e-4)


def test_published_strides_are_warned_about(run_tool, resnet, tmp_path):
    _, checkpoint, published = resnet
    done = run_tool(TOOL, "--from", checkpoint, "--out", tmp_path / "w.caffemodel", "--def",
                    published)
    assert done.status == 0 and done.out.count("warning: these weights do not fit") == 4


def test_detector_from_safetensors(run_tool, tmp_path):
    module = SimpleFasterRcnn()
    save_file(module.state_dict(), tmp_path / "frcnn.safetensors")
    done = run_tool(TOOL, "--from", tmp_path / "frcnn.safetensors", "--out",
                    tmp_path / "new" / "w.caffemodel", "--input", "caffe")
    assert done.status == 0 and "about a pixel" in done.out, done.err
    layers = weights.read_weights(tmp_path / "new" / "w.caffemodel")
    assert np.array_equal(layers["conv1_1"][0], module.extractor[0].weight.detach())
    assert list(layers)[-7:] == ["rpn_conv/3x3", "rpn_cls_score", "rpn_bbox_pred", "fc6", "fc7",
                                 "cls_score", "bbox_pred"]


def test_checkpoint_trained_on_caffe_input_keeps_its_first_layer(run_tool, tmp_path):
    module = SimpleFasterRcnn()
    torch.save({"model": module.state_dict(), "config": {"caffe_pretrain": True}},
               tmp_path / "frcnn.pth")
    done = run_tool(TOOL, "--from", tmp_path / "frcnn.pth", "--out", tmp_path / "w.caffemodel")
    assert done.status == 0, done.err
    assert printed_means(done).ravel().tolist() == [122.772, 115.947, 102.98]
    layers = weights.read_weights(tmp_path / "w.caffemodel")
    assert np.array_equal(layers["conv1_1"][0], module.extractor[0].weight.detach())


def test_own_means_and_deviations(run_tool, tmp_path):
    module = Vgg16()
    torch.save(module.state_dict(), tmp_path / "vgg.pth")
    done = run_tool(TOOL, "--from", tmp_path / "vgg.pth", "--out", tmp_path / "w.caffemodel",
                    "--mean", "0.5,0.4,0.2", "--std", "1,0.5,0.25")
    assert printed_means(done).ravel() == pytest.approx([51, 102, 127.5])
    first = weights.read_weights(tmp_path / "w.caffemodel")["conv1_1"][0]
    theirs = module.features[0].weight.detach().numpy()
    np.testing.assert_allclose(first[:, 2], theirs[:, 0] / 255, rtol=1e-6)
    np.testing.assert_allclose(first[:, 0], theirs[:, 2] / 255 * 4, rtol=1e-6)


@pytest.mark.parametrize("options, says", [
    (["--from", "nowhere.pth", "--out", "w"], "nowhere.pth does not exist"),
    (["--from", "some.pth"], "--out"),
    (["--from", "vgg.pth", "--out", "w", "--out_def", "x"], "(--def)"),
    (["--from", "some.pth", "--out", "w", "--std", "0,1,1"], "above 0"),
    (["--from", "some.pth", "--out", "w"], "of no known net"),
])
def test_refusals(run_tool, tmp_path, monkeypatch, options, says):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "some.pth")
    torch.save(Vgg16().state_dict(), tmp_path / "vgg.pth")
    monkeypatch.chdir(tmp_path)
    assert_refused(run_tool(TOOL, *options), says)
    assert sorted(os.listdir(tmp_path)) == ["some.pth", "vgg.pth"]
