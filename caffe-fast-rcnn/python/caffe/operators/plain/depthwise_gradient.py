"""The gradient of depthwise kernels by plain PyTorch operations."""
from torch import Tensor


def depthwise_kernel_gradient(grad: Tensor, x: Tensor, kernel: list[int], stride: list[int],
                              pad: list[int]) -> Tensor:
    """(C, 1, kh, kw): for every entry of the kernel, the sum of the products of the gradient
    (N, C, h, w) with the values of x (N, C, H, W) that the entry met."""
    made = x.new_zeros(x.shape[1], 1, *kernel)
    rows, columns = ([_met(entry, *of_axis) for entry in range(size)] for size, *of_axis in
                     zip(kernel, stride, pad, x.shape[2:], grad.shape[2:]))
    for i, (row, top_row) in enumerate(rows):
        for j, (column, top_column) in enumerate(columns):
            made[:, 0, i, j] = (x[:, :, row, column] * grad[:, :, top_row, top_column]).sum(
                (0, 2, 3))
    return made


def _met(entry: int, stride: int, pad: int, size: int, top_size: int) -> tuple[slice, slice]:
    """The places of an axis that an entry of the kernel meets, and the tops that it does so for."""
    first = max(0, -((entry - pad) // stride))
    count = max(0, min(top_size, (size - 1 + pad - entry) // stride + 1) - first)
    start = first * stride + entry - pad
    return (slice(start, start + count * stride, stride) if count else slice(0, 0),
            slice(first, first + count))
