"""transform.TorchImageTransformLayer in a net."""
import numpy as np
import pytest

import caffe
from faster_rcnn.settings.config import cfg

NET = """
layer { name: "in" type: "Input" top: "data_caffe"
        input_param { shape { dim: 1 dim: 3 dim: 2 dim: 2 } } }
layer { name: "xform" type: "Python" bottom: "data_caffe" top: "data"
        python_param { module: "transform.torch_image_transform_layer"
                       layer: "TorchImageTransformLayer" } }
"""


def test_a_pixel_by_hand():
    net = caffe.Net(caffe.prototxt.read_net_text(NET), caffe.TEST)
    pixel = np.array([51.0, 102, 255])      # blue, green, red
    net.blobs["data_caffe"].data[...] = (pixel - cfg.PIXEL_MEANS[0, 0]).reshape(1, 3, 1, 1)
    out = net.forward()["data"]
    assert out.shape == (1, 3, 2, 2)
    red, green, blue = out[0, :, 1, 0].tolist()
    assert red == pytest.approx((1 - 0.48462227599918) / 0.22889466674951, rel=1e-5)
    assert green == pytest.approx((0.4 - 0.45624044862054) / 0.22446679341259, rel=1e-4)
    assert blue == pytest.approx((0.2 - 0.40588363755159) / 0.22495548344775, rel=1e-4)
