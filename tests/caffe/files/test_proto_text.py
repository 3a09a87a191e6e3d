"""Protobuf's text format as the C++ parser of Caffe takes it."""
import math

import pytest

from caffe.core.errors import PrototxtError
from caffe.files import prototxt
from caffe.proto import caffe_pb2


def layer(text):
    return prototxt.parse(text, caffe_pb2.LayerParameter(), "n.prototxt")


@pytest.mark.parametrize("text, value", [
    ("- 5E-1", -0.5), ("-\n5", -5), ("- # a comment\n 2.5", -2.5), ("-\t.5", -0.5), ("5.", 5),
    ("1f", 1), ("1.5F", 1.5), ("1e5f", 1e5), ("1e-010", 1e-10), ("5e+3", 5000), ("0x1F", 31),
    ("0X1f", 31), ("017", 15), ("- 0x10", -16), ("00", 0), ("inf", math.inf),
    ("- inf", -math.inf), ("-Infinity", -math.inf), ("INF", math.inf)])
def test_floats(text, value):
    assert layer(f"power_param {{ scale: {text} }}").power_param.scale == pytest.approx(value)


@pytest.mark.parametrize("text", ["nan", "- nan", "NaN", "-nan"])
def test_not_a_number(text):
    assert math.isnan(layer(f"power_param {{ scale: {text} }}").power_param.scale)


@pytest.mark.parametrize("text, value", [("- 2", -2), ("-0x2", -2), ("-010", -8), ("0x1F", 31),
                                         ("010", 8), ("-\n\n1", -1)])
def test_integers(text, value):
    assert layer(f"inner_product_param {{ axis: {text} }}").inner_product_param.axis == value


@pytest.mark.parametrize("text, value", [
    ("t", True), ("true", True), ("True", True), ("1", True), ("0x1", True), ("01", True),
    ("f", False), ("false", False), ("False", False), ("0", False), ("00", False)])
def test_bools(text, value):
    p = layer(f"inner_product_param {{ bias_term: {text} }}").inner_product_param
    assert p.bias_term is value


@pytest.mark.parametrize("text", ["1", "0x1", "AVE"])
def test_enum_values_by_number_or_name(text):
    assert layer(f"pooling_param {{ pool: {text} }}").pooling_param.pool == 1


@pytest.mark.parametrize("text", [
    'name: "ab"', "name: 'ab'", 'name: "a" "b"', "name: 'a'\n  \"b\"", 'name: "a" # - 5\n "b"',
    'name: "\\x61\\142"', "name:'ab'", 'name : "ab";', 'name: "ab",'])
def test_strings(text):
    assert layer(text).name == "ab"


def test_text_inside_strings_and_comments_is_kept():
    assert layer('name: "- 5 017" # - 5 "\n type: "it\'s - 1"').name == "- 5 017"
    assert layer('name: "a#- 5"').name == "a#- 5"
    assert layer("name: '\"- 5'").name == '"- 5'


@pytest.mark.parametrize("text", [
    "power_param { scale: 2 power: 3 }", "power_param < scale: 2 power: 3 >",
    "power_param: { scale: 2, power: 3, }", "power_param: < scale: 2; power: 3; >;",
    "power_param { scale: 2 # }\n power: 3 }"])
def test_messages_and_separators(text):
    assert (layer(text).power_param.scale, layer(text).power_param.power) == (2, 3)


def test_lists():
    assert list(layer("loss_weight: [1, 2.5,- 3]").loss_weight) == [1, 2.5, -3]
    assert list(layer("top: ['a', \"b\"], top: 'c'").top) == ["a", "b", "c"]
    assert len(layer("include: [{ phase: TEST }, < phase: 0 >]").include) == 2


@pytest.mark.parametrize("text, says", [
    ("[caffe.ext]: 3", "n.prototxt:1:8: LayerParameter has no extensions"),
    ("inner_product_param { axis: 08 }", "n.prototxt:1:29: Couldn't parse integer: 08"),
    ("power_param { scale: 1E }", "n.prototxt:1:22: "),
    ("inner_product_param {\n  axis: - 2\n  axis: 1 }", "n.prototxt:3:9: "),
    ("inner_product_param { bias_term: yes }", 'n.prototxt:1:34: Expected "true" or "false"'),
    ("pooling_param { pool: 7 }", "n.prototxt:1:23: "),
    ("power_param { scale: 1 } ;;", "n.prototxt:1:27: ")])
def test_what_cpp_refuses_too(text, says):
    with pytest.raises(PrototxtError) as caught:
        layer(text)
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text, says", [
    ('layers { name: "a" type: "ReLU" }', 'write layer { type: "ReLU"'),
    ('layer { blobs_lr: 1 }', "write param { lr_mult"),
    ('layer { weight_decay: 1 }', "write param { decay_mult"),
    ('layers { type: RELUX }', 'did you mean "RELU"')])
def test_old_and_new_form_mixed(text, says):
    with pytest.raises(PrototxtError) as caught:
        prototxt.read_net_text(text)
    assert says in str(caught.value)
