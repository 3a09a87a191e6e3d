"""What pycaffe's own tests pin of nets and the module, where test_net.py does not say it already.
"""
import gc
import logging
import time
from collections import OrderedDict

import numpy as np
import pytest
from net_texts import fc, input_layer, layer, net

import caffe

SIMPLE = """name: "testnet" force_backward: true
layer { type: "DummyData" name: "data" top: "data" top: "label"
        dummy_data_param { shape { dim: 5 dim: 2 dim: 3 dim: 4 } shape { dim: 5 dim: 1 }
                           data_filler { type: "gaussian" std: 1 } data_filler { value: 2 } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
        convolution_param { num_output: 11 kernel_size: 2 pad: 3
                            weight_filler { type: "gaussian" std: 1 }
                            bias_filler { type: "constant" value: 2 } }
        param { decay_mult: 1 } param { decay_mult: 0 } }
layer { type: "InnerProduct" name: "ip" bottom: "conv" top: "ip_blob"
        inner_product_param { num_output: 13 weight_filler { type: "gaussian" std: 2.5 }
                              bias_filler { type: "constant" value: -3 } } }
layer { type: "SoftmaxWithLoss" name: "loss" bottom: "ip_blob" bottom: "label" top: "loss" }
"""


@pytest.fixture
def simple():
    caffe.set_random_seed(2)
    return net(SIMPLE)


def test_blobs_outlive_their_net(simple):
    simple.forward()
    simple.backward()
    params = sum(map(list, simple.params.values()), [])
    blobs = list(simple.blobs.values())
    before = sum(blob.data.sum() + blob.diff.sum() for blob in params + blobs)
    del simple
    gc.collect()
    assert sum(blob.data.sum() + blob.diff.sum() for blob in params + blobs) == before != 0


def test_names(simple):
    assert (simple.inputs, simple.outputs) == ([], ["loss"])
    assert simple.top_names == OrderedDict([("data", ["data", "label"]), ("conv", ["conv"]),
                                            ("ip", ["ip_blob"]), ("loss", ["loss"])])
    assert simple.bottom_names == OrderedDict([("data", []), ("conv", ["data"]), ("ip", ["conv"]),
                                               ("loss", ["ip_blob", "label"])])
    assert list(simple.layer_dict) == list(simple._layer_names) == list(simple.top_names)
    assert all(simple.layer_dict[name] is simple.layers[i]
               for i, name in enumerate(simple._layer_names))
    assert simple.blob_loss_weights["loss"] == 1 and simple.blob_loss_weights["conv"] == 0
    simple.name = "another"
    assert simple.name == "another"


def test_private_names_that_programs_use():
    """pycaffe's own numbers: the blobs in order of appearance, with those of Split layers."""
    both = net(SIMPLE, fc("more", "conv", 2), layer("relu", "ReLU", "more", "more"))
    names, tops = both._blob_names, [both._top_ids(i) for i in range(len(both.layers))]
    bottoms = [both._bottom_ids(i) for i in range(len(both.layers))]
    for ids, by_layer in ((tops, both.top_names), (bottoms, both.bottom_names)):
        assert [[names[i] for i in row] for row in ids] == list(by_layer.values())
    relu, split = both._layer_names.index("relu"), both._layer_names.index("conv_conv_0_split")
    assert tops[relu] == bottoms[relu] and tops[split] == [3, 4]
    assert both._blobs[3] is both.blobs["conv_conv_0_split_0"]
    assert [names[i] for i in both._outputs] == both.outputs and both._inputs == []
    weights = dict(zip(names, both._blob_loss_weights))
    assert weights["loss"] == 1 and sum(weights.values()) == 1
    loss = both._forward(0, len(both.layers) - 1)
    assert loss == pytest.approx(float(both.blobs["loss"].data)) and isinstance(loss, float)
    both._backward(len(both.layers) - 1, 0)
    assert both.params["conv"][0].diff.any()


def test_private_names_of_input():
    built = net(input_layer("a", 2, 1), fc("out", "a", 1))
    batches = list(built._batch({"a": np.array([[1], [2], [3]], np.float32)}))
    assert [batch["a"].tolist() for batch in batches] == [[[1], [2]], [[3], [0]]]
    memory = net('layer { name: "m" type: "MemoryData" top: "data" top: "label" memory_data_param '
                 "{ batch_size: 2 channels: 1 height: 1 width: 1 } }")
    data = np.array([4, 5], np.float32)
    memory._set_input_arrays(data.reshape(2, 1, 1, 1), data)
    memory.forward()
    assert memory.blobs["data"].data.ravel().tolist() == [4, 5]


def test_a_part_of_the_net_forward(simple):
    simple.forward()
    data, conv, ip = (simple.blobs[name] for name in ("data", "conv", "ip_blob"))
    for blob in (conv, ip):
        blob.data[...] = 7
    seen = data.data.copy()
    answer = simple.forward(start="conv", end="conv")
    assert list(answer) == ["conv"] and (conv.data != 7).any()
    assert (ip.data == 7).all() and (data.data == seen).all()
    answer = simple.forward(blobs=["conv"], start="ip")
    assert list(answer) == ["loss", "conv"] and (ip.data != 7).any()


def test_a_part_of_the_net_backward(simple):
    simple.forward()
    simple.backward()
    data, conv = (simple.blobs[name] for name in ("data", "conv"))
    expected = data.diff.copy()
    for blob in (data, conv):
        blob.diff[...] = 7
    answer = simple.backward(start="loss", end="ip")
    assert list(answer) == ["conv"] and (conv.diff != 7).any() and (data.diff == 7).all()
    simple.backward(start="conv")
    np.testing.assert_allclose(data.diff, expected, rtol=1e-5)


def test_clear_param_diffs(simple):
    simple.forward()
    simple.backward()
    diffs = [blob.diff for blob in simple.params["conv"]]
    assert all(np.abs(diff).sum() > 0 for diff in diffs)
    simple.clear_param_diffs()
    assert all((diff == 0).all() for diff in diffs)


def test_callbacks_get_layer_indices(simple):
    calls = []
    for moment in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(simple, moment)(lambda i, moment=moment: calls.append((moment, i)))
    simple.forward(start="conv", end="ip")
    simple.backward(start="ip", end="ip")
    assert calls == [("before_forward", 1), ("after_forward", 1), ("before_forward", 2),
                     ("after_forward", 2), ("before_backward", 2), ("after_backward", 2)]


@pytest.mark.parametrize("save, load", [("save", "copy_from"), ("save_hdf5", "load_hdf5")])
def test_what_is_saved_is_read(simple, tmp_path, save, load):
    getattr(simple, save)(str(tmp_path / "weights"))
    other = net(SIMPLE)
    assert (other.params["ip"][0].data != simple.params["ip"][0].data).any()
    getattr(other, load)(str(tmp_path / "weights"))
    for name in simple.params:
        for blob, read in zip(simple.params[name], other.params[name]):
            np.testing.assert_array_equal(blob.data, read.data)


LEVELS = layer("data", "DummyData", "", None, "dummy_data_param { shape { dim: 1 dim: 1 } }") + \
    "".join(fc(name, "data", 1, f"include {{ {rule} }}") for name, rule in (
        ("NoLevel", ""), ("Level0Only", "min_level: 0 max_level: 0"), ("Level1Only",
        "min_level: 1 max_level: 1"), ("Level>=0", "min_level: 0"), ("Level>=1", "min_level: 1"),
        ("A", 'stage: "A"'), ("B", 'stage: "B"'), ("AorB", 'stage: "A" } include { stage: "B"'),
        ("AandB", 'stage: "A" stage: "B"')))


@pytest.mark.parametrize("options, expected", [
    ({}, {"NoLevel", "Level0Only", "Level>=0"}),
    (dict(level=0), {"NoLevel", "Level0Only", "Level>=0"}),
    (dict(level=1), {"NoLevel", "Level1Only", "Level>=0", "Level>=1"}),
    (dict(stages=["A"]), {"NoLevel", "Level0Only", "Level>=0", "A", "AorB"}),
    (dict(stages=["B"]), {"NoLevel", "Level0Only", "Level>=0", "B", "AorB"}),
    (dict(stages=["A", "B"]), {"NoLevel", "Level0Only", "Level>=0", "A", "B", "AorB", "AandB"})])
def test_levels_and_stages(options, expected):
    assert set(net(LEVELS, phase=caffe.TEST, **options).outputs) == expected


ALL_IN_ONE = (
    layer("train_data", "DummyData", "", "data label", "include { phase: TRAIN } dummy_data_param "
          "{ shape { dim: 1 dim: 1 dim: 10 dim: 10 } shape { dim: 1 dim: 1 } }")
    + layer("val_data", "DummyData", "", "data label", 'include { phase: TEST stage: "val" } '
            "dummy_data_param { shape { dim: 1 dim: 1 dim: 10 dim: 10 } shape { dim: 1 dim: 1 } }")
    + layer("deploy_data", "Input", "", "data", 'include { phase: TEST stage: "deploy" } '
            "input_param { shape { dim: 1 dim: 1 dim: 10 dim: 10 } }")
    + fc("ip", "data", 2)
    + layer("loss", "SoftmaxWithLoss", "ip label", None,
            'include { phase: TRAIN } include { phase: TEST stage: "val" }')
    + layer("pred", "Softmax", "ip", None, 'include { phase: TEST stage: "deploy" }'))


@pytest.mark.parametrize("phase, stages, expected", [
    (caffe.TRAIN, None, ["train_data", "ip", "loss"]),
    (caffe.TEST, ["val"], ["val_data", "ip", "loss"]),
    (caffe.TEST, ["deploy"], ["deploy_data", "ip", "pred"])])
def test_one_prototxt_for_everything(phase, stages, expected):
    assert net(ALL_IN_ONE, phase=phase, stages=stages)._layer_names == expected


def test_keywords_must_be_the_inputs():
    built = net(input_layer("a", 2, 1), input_layer("b", 2, 1), layer("sum", "Eltwise", "a b"))
    assert built.forward(a=np.ones((2, 1)), b=np.ones((2, 1)))["sum"].ravel().tolist() == [2, 2]
    with pytest.raises(Exception, match=r"each input of the net \(a, b\), got a"):
        built.forward(a=np.ones((2, 1)))
    with pytest.raises(Exception, match="expected 2 items"):
        built.forward(a=np.ones((3, 1)), b=np.ones((2, 1)))


def test_the_modules_functions(caplog):
    assert {"Convolution", "Data", "Python", "Softmax"} <= set(caffe.layer_type_list())
    with pytest.raises(caffe.CaffeError, match='"python".*did you mean "Python"'):
        net(layer("x", "python", ""))
    assert (caffe.TRAIN, caffe.TEST) == (0, 1) and caffe.__version__ == "1.0.0"
    timer = caffe.Timer()
    timer.start()
    time.sleep(0.01)
    timer.stop()
    assert 10 <= timer.ms < 5000
    timer.tic()
    assert timer.toc(average=False) == timer.diff < timer.average_time < timer.total_time
    assert timer.calls == 2 and timer.average_time == pytest.approx(timer.total_time / 2)
    with caplog.at_level(logging.INFO, "caffe"):
        caffe.log("a line")
    assert caplog.messages == ["a line"]


def test_init_log_writes_glogs_lines(capfd):
    logger = logging.getLogger("caffe")
    kept = logger.handlers, logger.propagate, logger.level
    try:
        caffe.init_log(0, True)
        caffe.log("shown")
        caffe.init_log(2)
        caffe.log("hidden")
    finally:
        logger.handlers, logger.propagate = kept[:2]
        logger.setLevel(kept[2])
    line = capfd.readouterr().err.strip()
    assert line.startswith("I") and line.endswith("] shown") and "hidden" not in line
