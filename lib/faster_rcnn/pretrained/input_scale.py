"""From inputs (RGB / 255 - mean) / std to ours: blue green red from 0 to 255, minus PIXEL_MEANS.

Only the order of the channels and the scale go into the first convolution. The means stay outside:
they would fit into its bias as well, but then the zeros that pad a picture would be black instead
of the mean colour, and everything near the border would differ.
"""
import numpy as np

TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)    # RGB


def fold_scale(weight, std=TORCHVISION_STD):
    """The weight (O, 3, h, w) of a first convolution on (RGB / 255 - mean) / std, for BGR - means.
    """
    scaled = weight / (255 * np.array(std)).reshape(1, 3, 1, 1)
    return np.ascontiguousarray(scaled[:, ::-1]).astype(np.float32)


def pixel_means(mean=TORCHVISION_MEAN):
    """PIXEL_MEANS that go with it: (3,) blue green red."""
    return 255 * np.array(mean)[::-1]


def means_option(means):
    """The options of a command line that set PIXEL_MEANS."""
    return '--set PIXEL_MEANS "[[[' + ", ".join(f"{value:.6g}" for value in means) + ']]]"'
