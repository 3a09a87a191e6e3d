"""Which operators of caffe.ops run, forward and backward."""
from torch.utils._python_dispatch import TorchDispatchMode


class OperatorCalls(TorchDispatchMode):
    """`with OperatorCalls("roi_pool", "roi_pool_backward") as calls:` notes in `calls.made` the
    names of those that ran, in their order."""

    def __init__(self, *names):
        super().__init__()
        self.names, self.made = names, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("caffe_fast_rcnn::")
        if name in self.names:
            self.made.append(name)
        return function(*args, **(kwargs or {}))
