"""The gradients of all differentiable operators of caffe.ops, whatever computes them."""
import torch

from caffe.operators import ops


def results():
    """{operator: [its result, the gradients of its operands]}, always of the same numbers."""
    draw = torch.Generator().manual_seed(4)

    def random(*shape):
        return torch.randn(shape, generator=draw)
    features, rois = random(2, 8, 6, 7), torch.tensor([[0, 1, 2, 9, 8], [1, 0, 0, 5, 5.0]])
    inside, outside = random(5, 4).abs(), random(5, 4).abs()
    cases = {
        "roi_pool": (lambda x: ops.roi_pool(x, rois, 3, 2, 0.5), [features]),
        "roi_align": (lambda x, r: ops.roi_align(x, r, 2, 3, 0.5, 2), [features, rois]),
        "psroi_pool": (lambda x: ops.psroi_pool(x, rois, 2, 2, 0.5), [features]),
        "smooth_l1_loss": (lambda a, b: ops.smooth_l1_loss(a, b, inside, outside, 2.0),
                           [random(5, 4), random(5, 4)]),
        "smooth_l1_loss, no weights": (ops.smooth_l1_loss, [random(5, 4), random(5, 4)]),
        "lrn_across": (lambda x: ops.lrn_across(x, 3, 0.5, 0.75, 2.0), [features]),
        "lrn_within": (lambda x: ops.lrn_within(x, 3, 0.5, 0.75), [features]),
    }
    return {name: _result_and_gradients(*case) for name, case in cases.items()}


def _result_and_gradients(function, operands):
    leaves = [x.clone().requires_grad_() for x in operands]
    top = function(*leaves)
    return [top.detach(), *torch.autograd.grad(top.square().sum(), leaves)]


def second_derivatives():
    """The errors of asking roi_align, smooth_l1_loss for them."""
    x, rois = torch.rand(1, 1, 4, 4), torch.tensor([[0, 0, 0, 2, 2.0]])
    said = []
    for function in (lambda x: ops.roi_align(x, rois, 2, 2, 1.0),
                     lambda x: ops.smooth_l1_loss(x, x.detach() + 2)):
        leaf = x.clone().requires_grad_()
        grad, = torch.autograd.grad(function(leaf).square().sum(), leaf, create_graph=True)
        try:
            grad.square().sum().backward()
        except RuntimeError as error:
            said.append(str(error).splitlines()[0])
    return said
