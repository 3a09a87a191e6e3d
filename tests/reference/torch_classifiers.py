"""Classifiers of torchvision, built of nn layers with the names of their checkpoints, narrow."""
import torch
from torch import nn
from torch_nets import Fire, ResNet


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        pool = nn.MaxPool2d(3, 2)
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 11, 4, 2), nn.ReLU(), pool, nn.Conv2d(6, 8, 5, padding=2), nn.ReLU(),
            pool, nn.Conv2d(8, 9, 3, padding=1), nn.ReLU(), nn.Conv2d(9, 8, 3, padding=1),
            nn.ReLU(), nn.Conv2d(8, 7, 3, padding=1), nn.ReLU(), pool)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(7 * 36, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10),
            nn.ReLU(), nn.Linear(10, 5))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Vgg(nn.Module):
    """VGG of so many convolutions per stage."""

    def __init__(self, counts, normalised):
        super().__init__()
        layers, channels = [], 3
        for stage, count in enumerate(counts):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, 4 + stage, 3, padding=1))
                layers += [nn.BatchNorm2d(4 + stage)] if normalised else []
                layers.append(nn.ReLU())
                channels = 4 + stage
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(8 * 49, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10), nn.ReLU(),
            nn.Dropout(), nn.Linear(10, 5))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class BasicResNet(ResNet):
    """ResNet-18 or -34."""

    def __init__(self, counts):
        super().__init__(counts, width=4, block=BasicBlock)


class SqueezeNet11(nn.Module):
    def __init__(self):
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), pool, Fire(8, 4, 5), Fire(10, 4, 5), pool,
            Fire(10, 4, 6), Fire(12, 4, 6), pool, Fire(12, 5, 7), Fire(14, 5, 7), Fire(14, 5, 8),
            Fire(16, 5, 8))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(16, 9, 1), nn.ReLU())

    def forward(self, x):
        return self.classifier(self.features(x)).mean((2, 3))


def conv_norm(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs), nn.ReLU6())


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        layers = [conv_norm(inputs, inner, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(*layers, conv_norm(inner, inner, 3, stride, inner),
                                  nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.is_sum = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.is_sum else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [conv_norm(3, 4, 3, 2)], 4
        for expansion, outputs, count, stride in ((1, 3, 1, 1), (6, 4, 2, 2), (6, 5, 3, 2),
                                                  (6, 6, 4, 2), (6, 7, 3, 1), (6, 8, 3, 2),
                                                  (6, 9, 1, 1)):
            for i in range(count):
                layers.append(Inverted(inputs, outputs, 1 if i else stride, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers, conv_norm(inputs, 12, 1))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(12, 5))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class BasicConv(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, pad=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.branch1 = BasicConv(inputs, 2, 1)
        self.branch2 = nn.Sequential(BasicConv(inputs, 3, 1), BasicConv(3, 4, 3, 1, 1))
        self.branch3 = nn.Sequential(BasicConv(inputs, 2, 1), BasicConv(2, 3, 3, 1, 1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True),
                                     BasicConv(inputs, 2, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = BasicConv(3, 4, 7, 2, 3), BasicConv(4, 4, 1)
        self.conv3, inputs = BasicConv(4, 6, 3, 1, 1), 6
        for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            setattr(self, f"inception{name}", Inception(inputs))
            inputs = 11
        self.aux1 = BasicConv(11, 3, 1)
        self.fc = nn.Linear(11, 5)

    def forward(self, x):
        pool = nn.functional.max_pool2d
        x = pool(self.conv1(x), 3, 2, ceil_mode=True)
        x = pool(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        x = pool(self.inception3b(self.inception3a(x)), 3, 2, ceil_mode=True)
        for name in "abcde":
            x = getattr(self, f"inception4{name}")(x)
        x = self.inception5b(self.inception5a(pool(x, 2, 2, ceil_mode=True)))
        return self.fc(x.mean((2, 3)))
