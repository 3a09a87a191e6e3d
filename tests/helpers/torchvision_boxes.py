"""What tests need that compare with torchvision's operators.

A corner of ours is a pixel that belongs to the box, one of torchvision's an edge: its x2, y2 are
one more.
"""
import numpy as np
import pytest
import torch


def torchvision_ops():
    """The module torchvision.ops; skips the calling module where it cannot be imported.

    One that was built for another PyTorch ends in OSError or RuntimeError.
    """
    try:
        from torchvision import ops
    except (ImportError, OSError, RuntimeError) as error:
        reason = f"torchvision cannot be imported: {str(error).splitlines()[0]}"
        pytest.skip(reason, allow_module_level=True)
    return ops


def random_boxes(rng: np.random.Generator, count: int, size: int) -> torch.Tensor:
    """Boxes (count, 4) of whole pixels within an image of size x size, float64."""
    low = rng.integers(0, size, (count, 2))
    high = np.minimum(low + rng.integers(0, size, (count, 2)), size - 1)
    return torch.from_numpy(np.hstack([low, high])).double()


def with_far_edges(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes (N, 4) or rois (N, 5) of ours as torchvision counts them."""
    moved = boxes.clone()
    moved[:, -2:] += 1
    return moved
