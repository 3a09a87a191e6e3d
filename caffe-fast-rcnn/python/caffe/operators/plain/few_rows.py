"""The product of a few rows with a large matrix, by PyTorch's own."""
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks

MOST_ROWS = 4     # as in few_rows.cpp


def few_rows_product(x: Tensor, weight: Tensor, bias: Tensor | None, low: float,
                     high: float) -> Tensor:
    op = "few_rows_product"
    for name, operand, axes in (("x", x, 2), ("weight", weight, 2), ("bias", bias, 1)):
        checks.check_operand(op, name, operand, axes)
    checks.require(len(x) <= MOST_ROWS, f"{op}: x must have at most {MOST_ROWS} rows, not be "
                   f"{checks.sizes(x)}")
    checks.require(x.shape[1] == weight.shape[1], f"{op}: weight must be (O, {x.shape[1]}), not "
                   f"{checks.sizes(weight)}")
    checks.require(bias is None or len(bias) == len(weight), f"{op}: bias must be "
                   f"({len(weight)},)")
    return F.linear(x, weight, bias).clamp(low, high)
