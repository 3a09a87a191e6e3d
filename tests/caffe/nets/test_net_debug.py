"""debug_info: the lines that Caffe logs on the way through a net, with hand-computed means."""
import logging
import re

import numpy as np
import pytest
from google.protobuf import text_format
from net_texts import REGRESSION, fc, input_layer, layer, net

import caffe
from caffe.proto import caffe_pb2

LINE = input_layer("data", 2, 1) + input_layer("target", 2, 1)
LINE += layer("out", "InnerProduct", "data", None, 'param { name: "slope" } '
              "inner_product_param { num_output: 1 bias_term: false }")
LINE += layer("loss", "EuclideanLoss", "out target")


def lines(caplog):
    return [record.message for record in caplog.records if record.message.startswith("    [")]


def test_what_a_net_logs(caplog):
    line = net("debug_info: true ", LINE)
    line.blobs["data"].data[...] = [[1], [-3]]
    line.blobs["target"].data[...] = [[1], [0]]
    line.params["out"][0].data[...] = -2
    with caplog.at_level(logging.INFO, "caffe"):
        line.forward()
        line.backward()
    # out = (-2, 6); loss = (3^2 + 6^2) / 4; its gradients (-3, 6) / 2; slope: (-1.5 - 9)
    assert lines(caplog) == [
        "    [Forward] Layer data, top blob data data: 2",
        "    [Forward] Layer target, top blob target data: 0.5",
        "    [Forward] Layer out, top blob out data: 4",
        "    [Forward] Layer out, param blob slope data: 2",
        "    [Forward] Layer loss, top blob loss data: 11.25",
        "    [Backward] Layer loss, bottom blob out diff: 2.25",
        "    [Backward] Layer out, param blob slope diff: 10.5",
        "    [Backward] All net params (data, diff): L1 norm = (2, 10.5); L2 norm = (2, 10.5)"]


def test_norms_of_several_params_and_params_without_a_name(caplog):
    wide = net("debug_info: true ", REGRESSION)
    for blobs in wide.params.values():
        for blob in blobs:
            blob.data[...] = 0.5
    with caplog.at_level(logging.INFO, "caffe"):
        wide.forward()
        wide.backward()
    count = 5 * 3 + 5 + 2 * 5 + 2
    assert any("Layer hidden, param blob 1 data: 0.5" in text for text in lines(caplog))
    norms = re.findall(r"\(([\d.]+), ", lines(caplog)[-1])
    assert [float(n) for n in norms] == pytest.approx([count / 2, count ** 0.5 / 2], rel=1e-4)


def test_a_net_without_it_logs_nothing(caplog):
    with caplog.at_level(logging.INFO, "caffe"):
        net(REGRESSION).forward()
    assert not lines(caplog)


@pytest.mark.parametrize("text, displayed", [
    ("debug_info: true display: 2", [0, 2, 4]), ("debug_info: true", []), ("display: 2", [])])
def test_a_solver_logs_in_displayed_iterations(caplog, text, displayed):
    p = text_format.Parse(f'base_lr: 0.1 lr_policy: "fixed" {text}', caffe_pb2.SolverParameter())
    p.net_param.CopyFrom(caffe.prototxt.read_net_text("debug_info: true " + REGRESSION))
    solver = caffe.SGDSolver(p)
    seen = []
    for iteration in range(5):
        caplog.clear()
        with caplog.at_level(logging.INFO, "caffe"):
            solver.step(1)
        seen += [iteration] * bool(lines(caplog))
    assert seen == displayed


def recurrent(kind, options="debug_info: true"):
    """A net with a layer of one value, over two steps of one stream; all its weights are 1."""
    made = net("force_backward: true ", input_layer("x", 2, 1, 1), input_layer("cont", 2, 1),
               layer("r", kind, "x cont", None, f"recurrent_param {{ num_output: 1 {options} }}"))
    for blob in made.params["r"]:
        blob.data[...] = blob.data.ndim > 1     # weights, not biases
    made.blobs["x"].data[...] = [[[0.5]], [[0.25]]]
    made.blobs["cont"].data[...] = [[0], [1]]
    return made


def passes_of(made, caplog):
    with caplog.at_level(logging.INFO, "caffe"):
        made.forward()
        made.blobs["r"].diff[...] = [[[0]], [[1]]]
        made.backward()
    return {key: float(value) for key, _, value in
            (text.rpartition(": ") for text in lines(caplog))}


def test_the_steps_of_an_rnn(caplog):
    seen = passes_of(recurrent("RNN"), caplog)
    h1 = np.tanh(0.5)
    h2 = np.tanh(0.25 + h1)
    o2 = np.tanh(h2)
    for name, value in (("h_neuron_1, top blob h_1", h1), ("o_neuron_1, top blob o_1", np.tanh(h1)),
                        ("h_neuron_2, top blob h_2", h2), ("o_neuron_2, top blob o_2", o2)):
        assert seen[f"    [Forward] Layer r_{name} data"] == pytest.approx(value, rel=1e-5)
    slope = 1 - o2 ** 2         # d loss / d h2; the first output has no gradient of its own
    assert seen["    [Backward] Layer r_h_neuron_2, top blob h_2 diff"] == pytest.approx(slope,
                                                                                        rel=1e-5)
    assert seen["    [Backward] Layer r_h_neuron_1, top blob h_1 diff"] == pytest.approx(
        slope * (1 - h2 ** 2), rel=1e-5)


def test_the_steps_of_an_lstm(caplog):
    seen = passes_of(recurrent("LSTM"), caplog)
    gate = 1 / (1 + np.exp(-0.5))
    cell = gate * np.tanh(0.5)
    assert seen["    [Forward] Layer r_unit_1, top blob c_1 data"] == pytest.approx(cell, rel=1e-5)
    assert seen["    [Forward] Layer r_unit_1, top blob h_1 data"] == pytest.approx(
        gate * np.tanh(cell), rel=1e-5)
    assert {f"    [Backward] Layer r_unit_{t}, top blob {blob}_{t} diff" for t in (1, 2)
            for blob in "ch"} <= set(seen)


def test_recurrent_layers_log_nothing_without_it(caplog):
    assert not passes_of(recurrent("LSTM", ""), caplog)


def test_empty_blobs_have_a_mean():
    empty = net("debug_info: true ", input_layer("data", 0, 3), fc("out", "data", 2))
    assert empty.forward()["out"].shape == (0, 2)
    assert np.isfinite(empty.params["out"][0].data).all()
