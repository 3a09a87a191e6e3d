"""The product of a few rows with a large matrix: against PyTorch's in float64."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.few_rows import MOST_ROWS, few_rows_product, takes
from caffe.operators.plain import few_rows as plain
from caffe.operators.registration import are_compiled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize(("length", "outputs"), [(1, 1), (15, 3), (64, 200), (1000, 37),
                                                 (4099, 70)])
@pytest.mark.parametrize("limits", [(-math.inf, math.inf), (0, math.inf), (-0.5, 0.25)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_like_the_plain_product(rows, length, outputs, limits, with_bias, threads):
    x, weight = torch.randn(rows, length), torch.randn(outputs, length)
    bias = torch.randn(outputs) if with_bias else None
    wanted = F.linear(x.double(), weight.double(), bias.double() if with_bias else None)
    with threads_of_torch(threads):
        for function in (few_rows_product, plain.few_rows_product):
            found = function(x, weight, bias, *limits)
            torch.testing.assert_close(found.double(), wanted.clamp(*limits), rtol=1e-5,
                                       atol=1e-6 * length ** 0.5 * 4)


def test_by_hand():
    x, weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    found = few_rows_product(x, weight, torch.tensor([10.0, 0.0]), high=16)
    assert found.tolist() == [[13, -1], [16, -1]]


def test_the_number_of_threads_and_of_rows_changes_no_bit():
    x, weight = torch.randn(4, 3000), torch.randn(90, 3000)
    whole = few_rows_product(x, weight)
    for threads in (1, 2, 5):
        with threads_of_torch(threads):
            assert torch.equal(few_rows_product(x, weight), whole)
            assert torch.equal(few_rows_product(x[1:2], weight), whole[1:2])


def test_nan_stays_nan():
    assert few_rows_product(torch.full((1, 40), math.nan), torch.ones(3, 40), low=0,
                            high=1).isnan().all()


def test_nothing_at_all():
    assert few_rows_product(torch.zeros(0, 5), torch.zeros(3, 5)).shape == (0, 3)
    assert not few_rows_product(torch.zeros(2, 0), torch.zeros(3, 0)).any()


def test_meta_shape():
    meta = few_rows_product(torch.zeros(2, 5, device="meta"), torch.zeros(3, 5, device="meta"))
    assert meta.shape == (2, 3)


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(MOST_ROWS + 1, 6)}, {"x": torch.zeros(1, 5)}, {"x": torch.zeros(6)},
    {"x": torch.zeros(1, 6).double()}, {"weight": torch.zeros(4)}, {"bias": torch.zeros(5)},
    {"bias": torch.zeros(4).double()}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 6), "weight": torch.zeros(4, 6), "bias": torch.zeros(4), **change}
    for function in (few_rows_product, plain.few_rows_product):
        with pytest.raises(ValueError, match=r"^few_rows_product: \w+ must "):
            function(*given.values(), 0.0, 1.0)


def test_when_it_pays():
    assert takes(1, torch.zeros(4, 6)) == are_compiled()
    assert not takes(MOST_ROWS + 1, torch.zeros(4, 6)) and not takes(1, torch.zeros(6, 4).t())


def test_no_gradient_is_lost_in_silence():
    x = torch.zeros(1, 6, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient"):
        few_rows_product(x, torch.zeros(4, 6)).sum().backward()
