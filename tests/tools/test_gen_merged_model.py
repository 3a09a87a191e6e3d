"""tools/gen_merged_model.py, as PVANet's users call it."""
import numpy as np
from test_tool_errors import assert_refused
from torch_nets import caffe_resnet50

import caffe
from faster_rcnn.networks.text import net_text

TOOL = "gen_merged_model.py"


def test_resnet(run_tool, tmp_path):
    (tmp_path / "net.pt").write_text(net_text(caffe_resnet50()))
    net = caffe.Net(str(tmp_path / "net.pt"), caffe.TEST)
    generator = np.random.default_rng(0)
    for name, blobs in net.params.items():
        for blob in blobs:
            is_weight = name.startswith("res") or name == "conv1"
            blob.data[...] = generator.standard_normal(blob.shape) * 0.4 if is_weight else \
                generator.uniform(0.5, 1.5, blob.shape)
    net.save(str(tmp_path / "net.caffemodel"))
    done = run_tool(TOOL, tmp_path / "net.pt", tmp_path / "net.caffemodel", "--output_model",
                    tmp_path / "small.pt", "--output_weights", tmp_path / "small.caffemodel")
    assert done.status == 0 and "106 layers folded: bn_conv1, scale_conv1" in done.out, done.err
    small = caffe.Net(str(tmp_path / "small.pt"), str(tmp_path / "small.caffemodel"), caffe.TEST)
    assert not {layer.type for layer in small.layers} & {"BatchNorm", "Scale"}
    x = generator.standard_normal((1, 3, 64, 64))
    answers = []
    for each in (net, small):
        each.blobs["data"].data[...] = x
        answers.append(each.forward()["fc1000"].copy())
    assert np.abs(answers[0]).max() > 1
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-3, atol=1e-4)


def test_default_names_and_hdf5(run_tool, tmp_path):
    (tmp_path / "net.pt").write_text(net_text(caffe_resnet50()))
    net = caffe.Net(str(tmp_path / "net.pt"), caffe.TEST)
    net.save_hdf5(str(tmp_path / "net.caffemodel.h5"))
    done = run_tool(TOOL, tmp_path / "net.pt", tmp_path / "net.caffemodel.h5")
    assert done.status == 0, done.err
    caffe.Net(str(tmp_path / "net_merged.pt"), str(tmp_path / "net.caffemodel_merged.h5"),
              caffe.TEST)


def test_weights_of_another_net(run_tool, tmp_path):
    (tmp_path / "net.pt").write_text(net_text(caffe_resnet50()))
    caffe.Net(str(tmp_path / "net.pt"), caffe.TEST).save(str(tmp_path / "w"))
    text = (tmp_path / "net.pt").read_text()
    (tmp_path / "other.pt").write_text(text.replace('name: "conv1"', 'name: "conv0"'))
    assert_refused(run_tool(TOOL, tmp_path / "other.pt", tmp_path / "w"), 'no layer "conv0"')
    assert_refused(run_tool(TOOL, tmp_path / "net.pt", "nowhere"), "nowhere does not exist")
