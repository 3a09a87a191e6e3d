"""The statistics of BatchNorm layers as PyTorch and ONNX count them. Needs no onnx."""
import torch

from caffe.runners.runner import LayerRunner


def batch_statistics(runner: LayerRunner) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) of a BatchNorm layer."""
    mean, variance, weight = (blob.tensor.detach() for blob in runner.blobs[:3])
    factor = torch.where(weight == 0, 0, 1 / weight)
    return mean * factor, variance * factor
