"""Dropout. Caffe: dropout_layer.cpp, with the scale_train option of Fast R-CNN's Caffe."""
import torch
import torch.nn.functional as F

from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register
from caffe.proto import caffe_pb2


@register("Dropout")
class Dropout(Module):
    """Sets a random share of the values to 0 in the TRAIN phase.

    scale_train (the default): training divides the kept values by 1 - dropout_ratio and testing
    changes nothing. Else training keeps them as they are and testing multiplies by that number.
    """

    keeps_shape = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.dropout_param
        self.ratio, self.scale_train = p.dropout_ratio, p.scale_train
        self.training_phase = phase == caffe_pb2.TRAIN
        if not 0 <= self.ratio < 1:
            raise self.error(f"expected dropout_ratio in [0, 1), got {self.ratio}")

    def forward(self, x):
        if not self.training_phase:
            return x.view_as(x) if self.scale_train else x * (1 - self.ratio)
        if self.scale_train:
            return F.dropout(x, self.ratio, training=True)
        return x * torch.empty_like(x).bernoulli_(1 - self.ratio)
