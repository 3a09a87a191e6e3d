"""Rules of phase, level and stage; Split layers; which layers backward reaches."""
import pytest
from google.protobuf import text_format
from net_texts import fc, input_layer, layer, net

import caffe
from caffe.nets.rules import filter_layers, insert_splits, meets
from caffe.proto import caffe_pb2

TRAIN_A2 = "phase: TRAIN level: 2 stage: 'a'"


def rule(text):
    return text_format.Parse(text, caffe_pb2.NetStateRule())


def state(text):
    return text_format.Parse(text, caffe_pb2.NetState())


@pytest.mark.parametrize("text, expected", [
    ("", True), ("phase: TRAIN", True), ("phase: TEST", False),
    ("min_level: 2", True), ("min_level: 3", False), ("max_level: 2", True),
    ("max_level: 1", False), ("stage: 'a'", True), ("stage: 'a' stage: 'b'", False),
    ("not_stage: 'b'", True), ("not_stage: 'a'", False),
    ("phase: TRAIN min_level: 1 max_level: 3 stage: 'a' not_stage: 'c'", True)])
def test_a_rule_holds_when_all_its_conditions_do(text, expected):
    assert meets(rule(text), state(TRAIN_A2)) is expected


@pytest.mark.parametrize("rules, expected", [
    ("", True), ("include { stage: 'x' } include { phase: TRAIN }", True),
    ("include { stage: 'x' }", False), ("exclude { stage: 'x' }", True),
    ("exclude { stage: 'x' } exclude { min_level: 1 }", False)])
def test_a_layer_needs_one_include_and_no_exclude(rules, expected):
    text = f"state {{ {TRAIN_A2} }} layer {{ name: 'l' type: 'Input' top: 't' {rules} }}"
    filtered = filter_layers(text_format.Parse(text, caffe_pb2.NetParameter()))
    assert bool(filtered.layer) is expected


def splits(*texts):
    """[(name, bottoms, tops)] of a net's layers after InsertSplits."""
    message = insert_splits(caffe.prototxt.read_net_text("".join(texts)))
    return [(got.name, list(got.bottom), list(got.top)) for got in message.layer]


def test_a_blob_with_two_readers_is_split():
    assert splits(input_layer("x", 1), layer("a", "AbsVal", "x"), layer("b", "BNLL", "x"))[1:] == [
        ("x_x_0_split", ["x"], ["x_x_0_split_0", "x_x_0_split_1"]),
        ("a", ["x_x_0_split_0"], ["a"]), ("b", ["x_x_0_split_1"], ["b"])]


def test_a_split_is_named_after_the_last_layer_in_place():
    names = [name for name, *_ in splits(
        input_layer("x", 1), layer("r", "ReLU", "x", "x"), layer("a", "AbsVal", "x"),
        layer("b", "BNLL", "x"))]
    assert names == ["x", "r", "x_r_0_split", "a", "b"]


def test_counting_in_the_loss_is_a_use_of_its_own():
    message = insert_splits(caffe.prototxt.read_net_text(
        input_layer("x", 1) + layer("a", "AbsVal", "x", None, "loss_weight: 3")
        + layer("b", "BNLL", "a")))
    split = message.layer[2]
    assert split.name == "a_a_0_split" and list(split.loss_weight) == [3, 0]
    assert not message.layer[1].loss_weight and list(message.layer[3].bottom) == ["a_a_0_split_1"]


def test_a_missing_bottom_names_the_nearest_blob():
    with pytest.raises(caffe.CaffeError, match=r'"b".*has the top "dada".*did you mean "data"'):
        splits(input_layer("data", 1), layer("b", "BNLL", "dada"))


# ------------------------------------------------------------------------------------- gradients

def reached(built):
    """{layer: (need_backward, propagate_down, param_propagate_down)} of the layers with bottoms."""
    return {r.name: (r.need_backward, r.propagate_down, r.param_propagate_down)
            for r in built._runners if r.bottoms}


FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
INPUTS = input_layer("x", 2, 3) + input_layer("t", 2, 2)
LOSS = layer("loss", "EuclideanLoss", "b t")


def test_nothing_below_the_lowest_learning_layer():
    assert reached(net(INPUTS, fc("a", "x", 4, FROZEN), fc("b", "a", 2), LOSS)) == {
        "a": (False, [False], [False, False]), "b": (True, [False], [True, True]),
        "loss": (True, [True, False], [])}


def test_nothing_beside_the_loss():
    marks = reached(net(INPUTS, fc("a", "x", 4), fc("b", "a", 2), layer("side", "AbsVal", "a"),
                        LOSS))
    assert marks["side"] == (False, [False], [])
    assert marks["a_a_0_split"] == (True, [True], [])


def test_propagate_down_false_stops_what_is_below():
    marks = reached(net(INPUTS, fc("a", "x", 4), fc("b", "a", 2, "propagate_down: false"), LOSS))
    assert marks["a"][0] is False and marks["b"] == (True, [False], [True, True])


def test_force_backward_spares_labels():
    marks = reached(net("force_backward: true ", input_layer("x", 2, 3), input_layer("t", 2),
                        fc("b", "x", 4, FROZEN), layer("loss", "SoftmaxWithLoss", "b t")))
    assert marks["b"] == (True, [True], [True, True])
    assert marks["loss"] == (True, [True, False], [])


def test_only_parameters_with_a_gradient_take_part_in_autograd():
    built = net(INPUTS, fc("a", "x", 4, FROZEN), fc("b", "a", 2), LOSS)
    assert [blob.tensor.requires_grad for blob in built.params["a"] + built.params["b"]] == [
        False, False, True, True]


def test_a_net_without_loss_records_nothing():
    built = net(INPUTS, fc("a", "x", 4), fc("b", "a", 2), phase=caffe.TEST)
    built.forward()
    assert not any(r.need_backward for r in built._runners)
    assert all(r._graph is None for r in built._runners)
