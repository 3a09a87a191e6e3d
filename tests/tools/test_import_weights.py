"""tools/import_weights.py: checkpoints become weights that the engine loads; refusals."""
import os

import numpy as np
import onnx
import pytest
import torch
from made_detectors import fill
from safetensors.torch import save_file
from test_tool_errors import assert_refused
from torch_nets import (
    ResNet,
    SimpleFasterRcnn,
    SqueezeNet,
    Vgg16,
    caffe_resnet50,
    randomized,
)

import caffe
from caffe import export
from caffe.export.comparing import evaluate
from caffe.files import weights
from faster_rcnn.networks.text import net_text
from faster_rcnn.settings.config import cfg, cfg_from_list, cfg_override

TOOL = "import_weights.py"
SQUEEZENET = os.path.join(cfg.ROOT_DIR, "models", "imagenet", "SqueezeNet", "deploy.prototxt")


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


def test_shapes_that_cannot_be_right_are_found_without_a_prototxt(run_tool, tmp_path):
    tensors = SimpleFasterRcnn().state_dict()
    tensors["extractor.2.bias"] = tensors["extractor.2.bias"][:1]
    torch.save({"model": tensors, "best": np.float64(0.7)}, tmp_path / "frcnn.pth")
    assert_refused(run_tool(TOOL, "--from", tmp_path / "frcnn.pth", "--out", tmp_path / "w"),
                   'layer "conv1_2": the net has blobs of shape')


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


def assert_equal_in_onnx_runtime(run_tool, path, tmp_path):
    """The net that the tool makes of an ONNX file has ONNX Runtime's numbers."""
    paths = [tmp_path / name for name in ("w.caffemodel", "net.prototxt")]
    done = run_tool(TOOL, "--from", path, "--out", paths[0], "--out_def", paths[1])
    assert done.status == 0 and "PIXEL_MEANS" not in done.out, done.err
    net = caffe.Net(str(paths[1]), str(paths[0]), caffe.TEST)
    assert not net.last_copy.missing and not net.last_copy.ignored_source
    [name] = net.inputs
    data = np.random.default_rng(1).standard_normal(net.blobs[name].shape).astype(np.float32)
    net.blobs[name].data[...] = data
    [(_, answer)] = net.forward().items()
    [wanted] = evaluate(onnx.load(path), {name: data})
    np.testing.assert_allclose(answer.reshape(wanted.shape), wanted, rtol=1e-3,
                               atol=1e-4 * np.abs(wanted).max())


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module, size", [(Vgg16, (64, 64)), (ResNet, (75, 98)),
                                          (SqueezeNet, (99, 120))])
def test_classifiers_that_pytorch_exports(run_tool, tmp_path, module, size):
    torch.onnx.export(randomized(module()), torch.zeros(1, 3, *size), tmp_path / "net.onnx",
                      dynamo=False)
    assert_equal_in_onnx_runtime(run_tool, tmp_path / "net.onnx", tmp_path)


def test_a_classifier_goes_out_and_in(run_tool, tmp_path):
    net = caffe.Net(SQUEEZENET, caffe.TEST)
    fill(net, np.random.default_rng(0))
    part = export.select(net, shapes={"data": (1, 3, 99, 120)})
    export.write_onnx(export.to_onnx(net, part), tmp_path / "net.onnx")
    assert_equal_in_onnx_runtime(run_tool, tmp_path / "net.onnx", tmp_path)


def test_an_onnx_file_on_torchvisions_input(run_tool, tmp_path):
    weight = np.random.default_rng(0).standard_normal((2, 3, 1, 1)).astype(np.float32)
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="first")], "one",
        [onnx.helper.make_tensor_value_info("x", 1, (1, 3, 4, 4))],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(onnx.helper.make_model(made), tmp_path / "one.onnx")
    done = run_tool(TOOL, "--from", tmp_path / "one.onnx", "--out", tmp_path / "w.caffemodel",
                    "--out_def", tmp_path / "one.prototxt", "--input", "torchvision")
    assert done.status == 0, done.err
    assert printed_means(done).ravel() == pytest.approx([103.53, 116.28, 123.675])
    first = weights.read_weights(tmp_path / "w.caffemodel")["first"][0]
    np.testing.assert_allclose(first[:, 2, 0, 0], weight[:, 0, 0, 0] / (255 * 0.229), rtol=1e-6)
    assert_refused(run_tool(TOOL, "--from", tmp_path / "one.onnx", "--out", tmp_path / "w"),
                   "name the prototxt to write (--out_def)")


@pytest.mark.parametrize("options, says", [
    (["--from", "nowhere.pth", "--out", "w"], "nowhere.pth does not exist"),
    (["--from", "some.pth"], "--out"),
    (["--from", "net.pth", "--out", "w", "--out_def", "x"], "(--def)"),
    (["--from", "some.pth", "--out", "w", "--std", "0,1,1"], "above 0"),
    (["--from", "some.pth", "--out", "w"], "of no known net"),
    (["--from", "some.pth", "--out", "./some.pth"], "must be different files"),
])
def test_refusals(run_tool, tmp_path, monkeypatch, options, says):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "some.pth")
    torch.save(SqueezeNet().state_dict(), tmp_path / "net.pth")
    monkeypatch.chdir(tmp_path)
    assert_refused(run_tool(TOOL, *options), says)
    assert sorted(os.listdir(tmp_path)) == ["net.pth", "some.pth"]
