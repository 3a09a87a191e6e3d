"""Truncated SVD of fully connected layers."""
import numpy as np
import pytest
import scipy.sparse.linalg

import caffe
from caffe.files import prototxt
from faster_rcnn.prototxts.compress import compress, truncated_svd

HEAD = 'input: "x" input_shape { dim: 1 dim: 9 }'
FC = """layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}"
  inner_product_param {{ num_output: {2} {3}
  weight_filler {{ type: "gaussian" std: 1 }} bias_filler {{ type: "gaussian" std: 1 }} }} }}"""


def net(*layers):
    """A chain of InnerProduct layers: (name, outputs[, more])."""
    text, below = HEAD, "x"
    for name, outputs, *more in layers:
        text += FC.format(name, below, outputs, " ".join(more))
        below = name
    return caffe.Net(prototxt.read_net_text(text), caffe.TEST)


def output(made, x):
    made.blobs["x"].reshape(*x.shape)
    return next(iter(made.forward(x=x).values())).copy()


@pytest.mark.parametrize("shape", ((6, 9), (9, 6)))
def test_full_rank_is_exact(shape):
    weight = np.random.default_rng(0).normal(size=shape)
    left, right = truncated_svd(weight, 6)
    assert left.shape == (shape[0], 6) and right.shape == (6, shape[1])
    assert left @ right == pytest.approx(weight, abs=1e-12)


def test_lower_rank_is_the_nearest():
    weight = np.random.default_rng(1).normal(size=(8, 12))
    left, right = truncated_svd(weight, 3)
    u, s, v = scipy.sparse.linalg.svds(weight, k=3)
    assert left @ right == pytest.approx(u * s @ v, abs=1e-10)
    # Eckart and Young: the error is what the other singular values hold
    others = np.linalg.svd(weight, compute_uv=False)[3:]
    assert np.linalg.norm(weight - left @ right) == pytest.approx(np.linalg.norm(others))
    assert left.T @ left == pytest.approx(np.eye(3), abs=1e-12)


def test_a_compressed_net_of_full_rank_computes_the_same():
    plain = net(("fc6", 7), ("fc7", 5))
    small = net(("fc6_L", 7, "bias_term: false"), ("fc6_U", 7), ("fc7_L", 5, "bias_term: false"),
                ("fc7_U", 5))
    assert compress(plain, small) == [("fc6", 7), ("fc7", 5)]
    x = np.random.default_rng(2).normal(size=(4, 9)).astype(np.float32)
    assert output(small, x) == pytest.approx(output(plain, x), abs=1e-4)


@pytest.mark.parametrize("layers,words", (
    ([("fc6", 7)], "no pair of layers"),
    ([("fc9_L", 3, "bias_term: false"), ("fc9_U", 7)], "has no layer fc9"),
    ([("fc6_L", 3), ("fc6_U", 7)], "fc6_L must have no bias"),
    ([("fc6_L", 3, "bias_term: false"), ("fc6_U", 6)], r"fc6 is 7 x 9, .*\(6, 3\).*cannot make up"),
    ([("fc6_L", 8, "bias_term: false"), ("fc6_U", 7)], "fc6_L has 8 outputs.*only 7")))
def test_nets_that_do_not_fit(layers, words):
    with pytest.raises(ValueError, match=words):
        compress(net(("fc6", 7), ("fc7", 5)), net(*layers))
