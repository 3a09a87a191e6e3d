"""Layer types of CTPN: Transpose, Reverse and Lstm."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run, values

from caffe.core.errors import LayerError

LSTM = 'type: "Lstm" lstm_param { num_output: 2 %s weight_filler { type: "gaussian" std: 0.5 } }'


def test_transpose_orders_all_axes():
    x = np.arange(24).reshape(1, 2, 3, 4)
    top = run('type: "Transpose" transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 }', x)
    assert top.shape == (4, 3, 1, 2) and top[3, 1, 0, 1] == x[0, 1, 1, 3]
    back = run('type: "Transpose" transpose_param { dim: 2 dim: 3 dim: 1 dim: 0 }', top)
    np.testing.assert_array_equal(back, x)
    with pytest.raises(LayerError, match=r"each of 0 .. 3 once, got \(0, 1, 1, 3\)"):
        build('type: "Transpose" transpose_param { dim: 0 dim: 1 dim: 1 dim: 3 }', x.shape)


def test_reverse_turns_an_axis_round():
    x = [[1, 2, 3], [4, 5, 6]]
    assert run('type: "Reverse"', x).tolist() == [[4, 5, 6], [1, 2, 3]]
    assert run('type: "Reverse" reverse_param { axis: -1 }', x).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert gradient('type: "Reverse"', [[1, 0, 0], [0, 0, 2]], x).tolist() == [[0, 0, 2], [1, 0, 0]]
    with pytest.raises(LayerError, match=r"axis in \[-2, 2\)"):
        build('type: "Reverse" reverse_param { axis: 2 }', (2, 3))


def blobs_of(module):
    """As torch's LSTM has them: its gates are input, forget, candidate, output."""
    return [torch.cat([part for _, part in sorted(zip((0, 1, 3, 2), blob.chunk(4)),
                                                  key=lambda pair: pair[0])])
            for blob in module.blobs]


def test_lstm_is_that_of_torch():
    x = values((5, 3, 4)).float()
    module = build(LSTM % "bias_filler { value: 0.3 }", x.shape)
    theirs = torch.nn.LSTM(4, 2)
    weight, hidden, bias = blobs_of(module)
    theirs.load_state_dict({"weight_ih_l0": weight, "weight_hh_l0": hidden, "bias_ih_l0": bias,
                            "bias_hh_l0": torch.zeros(8)})
    torch.testing.assert_close(module(x), theirs(x)[0])
    flat = build(LSTM % "batch_size: 3", (15, 2, 2))
    flat.load_state_dict(module.state_dict())
    torch.testing.assert_close(flat(x.reshape(15, 2, 2)), module(x).reshape(15, 2))


def test_sequences_begin_where_they_should_and_go_on_in_the_next_pass():
    x = values((6, 1, 4)).float()
    module = build(LSTM % "", x.shape, (6, 1))
    whole = module(x, torch.tensor([0.0, 1, 1, 0, 1, 1]))
    plain = build(LSTM % "", (3, 1, 4))
    plain.load_state_dict(module.state_dict())
    torch.testing.assert_close(whole, torch.cat([plain(x[:3]), plain(x[3:])]))
    first = module(x[:2], torch.tensor([0.0, 1]))
    torch.testing.assert_close(torch.cat([first, module(x[2:3], torch.ones(1))]), whole[:3])


def test_the_gradient_of_the_gates_is_clipped():
    text = ('type: "Lstm" lstm_param { num_output: 1 weight_filler { value: 1 } '
            "clipping_threshold: %g }")
    sigmoid, tanh = 1 / (1 + math.exp(-1)), math.tanh(1)    # all gates are 1 for x = 1
    cell = sigmoid * tanh
    inner = sigmoid * (1 - math.tanh(cell) ** 2)            # d top / d cell
    parts = (inner * tanh * sigmoid * (1 - sigmoid), inner * sigmoid * (1 - tanh ** 2),
             math.tanh(cell) * sigmoid * (1 - sigmoid))
    for grad, limit in ((1, 0), (1, 0.1), (-1, 0.1), (-3, 0.05)):
        wanted = sum(np.clip(grad * part, -limit or -9, limit or 9) for part in parts)
        assert gradient(text % limit, grad, [[[1]]]).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("text, shapes, message", [
    ("batch_size: 4", [(6, 3)], "multiple of batch_size"),
    ("batch_size: 0", [(6, 3)], "batch_size > 0, got 2 and 0"),
    ("", [(2, 3, 4), (2, 2)], "6 values that say where sequences begin"),
])
def test_bottoms_that_do_not_fit(text, shapes, message):
    with pytest.raises(LayerError, match=message):
        build(LSTM % text, *shapes).top_shapes(shapes)
