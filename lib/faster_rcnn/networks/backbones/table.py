"""All backbones by the names of their folders. A new one is added here."""
from faster_rcnn.networks.backbones.caffenet import CAFFENET
from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.efficientnet_lite import EFFICIENTNET_LITE0
from faster_rcnn.networks.backbones.mobilenet import MOBILENET
from faster_rcnn.networks.backbones.resnet import RESNET_50, RESNET_101
from faster_rcnn.networks.backbones.squeezenet import SQUEEZENET
from faster_rcnn.networks.backbones.tiny import TINY
from faster_rcnn.networks.backbones.vgg import VGG16, VGG_CNN_M_1024
from faster_rcnn.networks.backbones.zf import ZF

BACKBONES: dict[str, Backbone] = {backbone.folder: backbone for backbone in (
    ZF, VGG_CNN_M_1024, VGG16, CAFFENET, SQUEEZENET, TINY, RESNET_50, RESNET_101, MOBILENET,
    EFFICIENTNET_LITE0)}
