"""Detectors of other programs, built of nn layers with the names of their checkpoints, narrow.

Each has `features(data)`, `rpn(features)` -> scores and deltas as its convolutions give them,
`pool(features, rois)` and `head(pooled)` -> class scores and deltas as its layers give them.
"""
import torch
from torch import nn
from torch_nets import Bottleneck, vgg_features

from caffe.export.source.pieces import roi_align, roi_pool

BLOCKS = (3, 4, 6, 3)


def stages(width, strides):
    """The four stages of a ResNet whose strides lie in the first 1x1 convolutions."""
    made, inputs = [], width
    for stage, (count, stride) in enumerate(zip(BLOCKS, strides)):
        inner = width * 2 ** stage
        blocks = []
        for i in range(count):
            block = Bottleneck(inputs, inner, stride if i == 0 else 1)
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
            blocks.append(block)
            inputs = 4 * inner
        made.append(nn.Sequential(*blocks))
    return made


class JwyangResNet(nn.Module):
    """jwyang's resnet: Caffe's first pooling, the fifth stage with a stride on 7 x 7 bins."""

    def __init__(self, width=2, classes=4, deltas=None):
        super().__init__()
        *shared, last = stages(width, (1, 2, 2, 2))
        self.RCNN_base = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(3, 2, 0, ceil_mode=True), *shared)
        self.RCNN_top = nn.Sequential(last)
        self.RCNN_rpn = nn.Module()
        self.RCNN_rpn.RPN_Conv = nn.Conv2d(16 * width, 8, 3, 1, 1)
        self.RCNN_rpn.RPN_cls_score = nn.Conv2d(8, 18, 1)
        self.RCNN_rpn.RPN_bbox_pred = nn.Conv2d(8, 36, 1)
        self.RCNN_cls_score = nn.Linear(32 * width, classes)
        self.RCNN_bbox_pred = nn.Linear(32 * width, deltas or 4 * classes)

    def features(self, data):
        return self.RCNN_base(data)

    def rpn(self, features):
        x = self.RCNN_rpn.RPN_Conv(features).relu()
        return self.RCNN_rpn.RPN_cls_score(x), self.RCNN_rpn.RPN_bbox_pred(x)

    def pool(self, features, rois):
        return roi_pool(features, rois, (7, 7), 1 / 16)

    def head(self, pooled):
        x = self.RCNN_top(pooled).mean((2, 3))
        return self.RCNN_cls_score(x), self.RCNN_bbox_pred(x)


class JwyangVgg(JwyangResNet):
    """jwyang's vgg16."""

    def __init__(self, classes=4):
        super().__init__(classes=classes)
        self.RCNN_base = vgg_features()
        self.RCNN_top = nn.Sequential(nn.Linear(8 * 49, 12), nn.ReLU(), nn.Dropout(),
                                      nn.Linear(12, 10), nn.ReLU(), nn.Dropout())
        self.RCNN_rpn.RPN_Conv = nn.Conv2d(8, 8, 3, 1, 1)
        self.RCNN_cls_score = nn.Linear(10, classes)
        self.RCNN_bbox_pred = nn.Linear(10, 4 * classes)

    def pool(self, features, rois):
        return roi_align(features, rois, (7, 7), 1 / 16, 0, False)

    def head(self, pooled):
        x = self.RCNN_top(pooled.flatten(1))
        return self.RCNN_cls_score(x), self.RCNN_bbox_pred(x)


class RuotianluoResNet(nn.Module):
    """ruotianluo's resnetv1: torchvision's first pooling, no stride in the fifth stage."""

    def __init__(self, width=2, classes=4, anchors=12):
        super().__init__()
        self.resnet = nn.Module()
        self.resnet.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.resnet.bn1 = nn.BatchNorm2d(width)
        for number, stage in enumerate(stages(width, (1, 2, 2, 1)), 1):
            setattr(self.resnet, f"layer{number}", stage)
        self.rpn_net = nn.Conv2d(16 * width, 8, 3, padding=1)
        self.rpn_cls_score_net = nn.Conv2d(8, 2 * anchors, 1)
        self.rpn_bbox_pred_net = nn.Conv2d(8, 4 * anchors, 1)
        self.cls_score_net = nn.Linear(32 * width, classes)
        self.bbox_pred_net = nn.Linear(32 * width, 4 * classes)

    def features(self, data):
        net = self.resnet
        x = nn.functional.max_pool2d(net.bn1(net.conv1(data)).relu(), 3, 2, 1)
        return net.layer3(net.layer2(net.layer1(x)))

    def rpn(self, features):
        x = self.rpn_net(features).relu()
        return self.rpn_cls_score_net(x), self.rpn_bbox_pred_net(x)

    def pool(self, features, rois):
        return roi_align(features, rois, (7, 7), 1 / 16, 0, False)

    def head(self, pooled):
        x = self.resnet.layer4(pooled).mean((2, 3))
        return self.cls_score_net(x), self.bbox_pred_net(x)


class RuotianluoVgg(RuotianluoResNet):
    """ruotianluo's vgg16."""

    def __init__(self, classes=4):
        super().__init__(classes=classes)
        del self.resnet
        self.vgg = nn.Module()
        self.vgg.features = vgg_features()
        self.vgg.classifier = nn.Sequential(nn.Linear(8 * 49, 12), nn.ReLU(), nn.Dropout(),
                                            nn.Linear(12, 10), nn.ReLU(), nn.Dropout())
        self.rpn_net = nn.Conv2d(8, 8, 3, padding=1)
        self.cls_score_net, self.bbox_pred_net = nn.Linear(10, classes), nn.Linear(10, 4 * classes)

    def features(self, data):
        return self.vgg.features(data)

    def head(self, pooled):
        x = self.vgg.classifier(pooled.flatten(1))
        return self.cls_score_net(x), self.bbox_pred_net(x)


def tensorflow_variables(module):
    """The arrays of a RuotianluoVgg as tf-faster-rcnn's variables: {name: array}."""
    convolutions = [m for m in module.vgg.features if isinstance(m, nn.Conv2d)]
    names = [f"conv{s}/conv{s}_{i}" for s, count in enumerate((2, 2, 3, 3, 3), 1)
             for i in range(1, count + 1)]
    parts = dict(zip(names, convolutions), fc7=module.vgg.classifier[3], cls_score=module.
                 cls_score_net, bbox_pred=module.bbox_pred_net, rpn_cls_score=module.
                 rpn_cls_score_net, rpn_bbox_pred=module.rpn_bbox_pred_net)
    parts["rpn_conv/3x3"] = module.rpn_net
    found = {}
    for name, part in parts.items():
        weight = part.weight.detach()
        found[f"vgg_16/{name}/weights"] = weight.permute(2, 3, 1, 0) if weight.dim() == 4 \
            else weight.T
        found[f"vgg_16/{name}/biases"] = part.bias.detach()
    fc6 = module.vgg.classifier[0]
    rows = fc6.weight.detach().reshape(len(fc6.weight), -1, 7, 7)       # (out, C, h, w)
    found["vgg_16/fc6/weights"] = rows.permute(2, 3, 1, 0).flatten(0, 2)
    found["vgg_16/fc6/biases"] = fc6.bias.detach()
    return {name: array.contiguous().numpy() for name, array in found.items()}


class Detectron2C4(nn.Module):
    """Detectron2's GeneralizedRCNN of R50-C4; its names have parts that Python names may not."""

    def __init__(self, width=2, classes=3):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.res2, self.res3, self.res4, self.res5 = stages(width, (1, 2, 2, 2))
        self.conv = nn.Conv2d(16 * width, 16 * width, 3, padding=1)
        self.logits, self.deltas = nn.Conv2d(16 * width, 15, 1), nn.Conv2d(16 * width, 60, 1)
        self.cls_score = nn.Linear(32 * width, classes + 1)
        self.bbox_pred = nn.Linear(32 * width, 4 * classes)

    def checkpoint(self):
        """The state_dict under Detectron2's names."""
        names = {"conv1.": "backbone.stem.conv1.", "bn1.": "backbone.stem.conv1.norm.",
                 "res2.": "backbone.res2.", "res3.": "backbone.res3.", "res4.": "backbone.res4.",
                 "res5.": "roi_heads.res5.", "conv.": "proposal_generator.rpn_head.conv.",
                 "logits.": "proposal_generator.rpn_head.objectness_logits.",
                 "deltas.": "proposal_generator.rpn_head.anchor_deltas.",
                 "cls_score.": "roi_heads.box_predictor.cls_score.",
                 "bbox_pred.": "roi_heads.box_predictor.bbox_pred."}
        found = {"pixel_mean": torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1),
                 "pixel_std": torch.ones(3, 1, 1),
                 "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(15, 4)}
        for name, tensor in self.state_dict().items():
            begin = next(begin for begin in names if name.startswith(begin))
            name = names[begin] + name.removeprefix(begin)
            for i in (1, 2, 3):
                name = name.replace(f".bn{i}.", f".conv{i}.norm.")
            name = name.replace(".downsample.0.", ".shortcut.")
            found[name.replace(".downsample.1.", ".shortcut.norm.")] = tensor
        return {name: value for name, value in found.items() if "num_batches" not in name}

    def features(self, data):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(data)).relu(), 3, 2, 1)
        return self.res4(self.res3(self.res2(x)))

    def rpn(self, features):
        x = self.conv(features).relu()
        return self.logits(x), self.deltas(x)

    def pool(self, features, rois):
        return roi_align(features, rois, (14, 14), 1 / 16, 0, True)

    def head(self, pooled):
        x = self.res5(pooled).mean((2, 3))
        return self.cls_score(x), self.bbox_pred(x)

    def anchors(self, height, width):
        """(H * W * 15, 4): by size, then by ratio, around the corners of the cells."""
        base = [[-w / 2, -h / 2, w / 2, h / 2] for size in (32, 64, 128, 256, 512)
                for ratio in (0.5, 1, 2)
                for w, h in [((size ** 2 / ratio) ** 0.5, (size ** 2 * ratio) ** 0.5)]]
        shifts = [[16 * x, 16 * y] * 2 for y in range(height) for x in range(width)]
        return (torch.tensor(shifts)[:, None] + torch.tensor(base)[None]).reshape(-1, 4)

    def boxes(self, anchors, deltas):
        """(R, 4) from anchors (R, 4) and deltas (R, 4); widths are x2 - x1."""
        sizes = anchors[:, 2:] - anchors[:, :2]
        centres = anchors[:, :2] + sizes / 2 + deltas[:, :2] * sizes
        halves = sizes * deltas[:, 2:].exp() / 2
        return torch.cat([centres - halves, centres + halves], 1)
