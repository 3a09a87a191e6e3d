"""Input for networks that were trained by fb.resnet.torch."""
from typing import Any

import torch

import caffe
from faster_rcnn.settings.config import cfg

# fb.resnet.torch: mean and standard deviation of ImageNet, RGB, values from 0 to 1
MEANS = (0.48462227599918, 0.45624044862054, 0.40588363755159)
STDS = (0.22889466674951, 0.22446679341259, 0.22495548344775)


class TorchImageTransformLayer(caffe.TensorLayer):
    """Converts the images of the data layer to the form of fb.resnet.torch.

    bottom: images (N, 3, H, W), BGR, 0 to 255, cfg.PIXEL_MEANS subtracted
    top:    images (N, 3, H, W), RGB, 0 to 1, MEANS subtracted and divided by STDS
    """

    def setup(self, bottom: Any, top: Any) -> None:
        self._old_means = torch.tensor(cfg.PIXEL_MEANS.reshape(1, 3, 1, 1))
        self._means, self._stds = [torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1)
                                   for v in (MEANS, STDS)]

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        old_means, means, stds = [v.to(images) for v in (self._old_means, self._means, self._stds)]
        return (((images + old_means) / 255).flip(1) - means) / stds
