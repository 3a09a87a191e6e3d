"""Python layers of both kinds."""
import sys

import numpy as np
import pytest
import torch
from net_texts import fc, input_layer, layer, net

import caffe

MODULE = '''
import numpy as np
import torch
import caffe


class Ten(caffe.Layer):
    """top = 10 * bottom; shapes as in pycaffe's own test."""

    def setup(self, bottom, top):
        self.seen = [self.name, self.type, str(self.phase), self.phase == caffe.TRAIN,
                     self.param_str, self.param_str_]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = 10 * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.propagate_down = propagate_down
        bottom[0].diff[...] = 10 * top[0].diff


class Offset(caffe.Layer):
    def setup(self, bottom, top):
        self.blobs.add_blob(3)
        self.blobs[0].data[...] = [1, 2, 3]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data + self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += top[0].diff.sum(0)
        bottom[0].diff[...] = top[0].diff


class Faulty(caffe.Layer):
    def forward(self, bottom, top):
        raise ZeroDivisionError("by hand")


class Lazy(caffe.Layer):
    pass


class Counter(caffe.Layer):
    def setup(self, bottom, top):
        self.rows = 0

    def reshape(self, bottom, top):
        self.rows += 1
        top[0].reshape(self.rows, 2)

    def forward(self, bottom, top):
        top[0].data[...] = self.rows


class Cube(caffe.TensorLayer):
    """Two tops, the second without a gradient."""

    def forward(self, x, ignored):
        return x ** 3, torch.arange(len(x))


class Learned(caffe.TensorLayer):
    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, x):
        return x * self.blobs[0].tensor


class Source(caffe.TensorLayer):
    def setup(self, bottom, top):
        top[0].reshape(4, 2)

    def forward(self):
        return np.ones((5, 2))


class WrongCount(caffe.TensorLayer):
    def forward(self, x):
        return x, x


class WrongType(caffe.TensorLayer):
    def forward(self, x):
        return "x"
'''


@pytest.fixture(autouse=True)
def my_layers(tmp_path, monkeypatch):
    """A module `my_layers` on sys.path."""
    (tmp_path / "my_layers.py").write_text(MODULE)
    (tmp_path / "broken_layers.py").write_text("import my_layers\n1 / 0\n")
    (tmp_path / "needy_layers.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("my_layers", "broken_layers", "needy_layers"):
        sys.modules.pop(name, None)


def python(name, cls, bottoms, tops=None, rest="", module="my_layers", param_str="1 2"):
    options = f'module: "{module}" layer: "{cls}" param_str: "{param_str}"'
    return layer(name, "Python", bottoms, tops, f"python_param {{ {options} }} {rest}")


FORCE, X = "force_backward: true ", input_layer("x", 2, 3)


def test_numpy_layer():
    built = net(FORCE, X, python("ten", "Ten", "x"))
    built.blobs["x"].data[...] = 7
    assert (built.forward()["ten"] == 70).all()
    assert (built.backward(ten=np.ones((2, 3)))["x"] == 10).all()
    ten = built.layers[1]
    assert ten is built.layer_dict["ten"] and ten.propagate_down == [True]
    assert ten.seen == ["ten", "Python", "TRAIN", True, "1 2", "1 2"]


def test_numpy_layer_in_place():
    built = net(FORCE, X, python("ten", "Ten", "x", "x"), python("again", "Ten", "x"))
    built.blobs["x"].data[...] = 1
    assert (built.forward()["again"] == 100).all()
    assert (built.backward(again=np.ones((2, 3)))["x"] == 100).all()


def test_own_parameter_blob():
    built = net(input_layer("x", 2, 3), input_layer("t", 2, 3), python("off", "Offset", "x"),
                layer("loss", "EuclideanLoss", "off t"))
    built.forward()
    assert built.blobs["off"].data.tolist() == [[1, 2, 3]] * 2
    built.backward()
    np.testing.assert_allclose(built.params["off"][0].diff, [1, 2, 3])
    assert len(built.learnables) == 1


def test_tops_may_change_their_shape_every_time():
    built = net(python("count", "Counter", ""), layer("abs", "AbsVal", "count"))
    first = built.forward()["abs"].copy()
    second = built.forward()["abs"]
    assert second.shape[0] == first.shape[0] + 1 and (second == second.shape[0]).all()


@pytest.mark.parametrize("cls, error", [("Faulty", ZeroDivisionError), ("Lazy", caffe.CaffeError)])
def test_errors_stay_what_they_are(cls, error):
    built = net(X, python("bad", cls, "x"))
    with pytest.raises(error) as raised:
        built.forward()
    [note] = raised.value.__notes__
    assert note.endswith(f'in forward() of layer "bad" (my_layers.{cls})')


def test_tensor_layer():
    built = net(FORCE, X, input_layer("y", 1), python("cube", "Cube", "x y", "cube rows"))
    built.blobs["x"].data[...] = [[1, 2, 3], [0, -1, -2]]
    built.forward()
    assert built.blobs["cube"].data.tolist() == [[1, 8, 27], [0, -1, -8]]
    assert built.blobs["rows"].data.dtype == np.float32 and built.blobs["rows"].shape == (2,)
    built.backward(cube=np.ones((2, 3)), rows=np.ones(2))
    np.testing.assert_allclose(built.blobs["x"].diff, 3 * built.blobs["x"].data ** 2)
    assert not built.blobs["y"].diff.any()


def test_tensor_layer_learns_its_blobs():
    built = net(X, input_layer("t", 2, 3), fc("below", "x", 3), python("mul", "Learned", "below"),
                layer("loss", "EuclideanLoss", "mul t"))
    built.blobs["x"].data[...] = 1
    built.forward()
    built.backward()
    below = built.blobs["below"].data
    np.testing.assert_allclose(built.params["mul"][0].diff, (2 * below * below / 2).sum(),
                               rtol=1e-5)
    np.testing.assert_allclose(built.blobs["below"].diff, 2 * 2 * below / 2, rtol=1e-5)


def test_tensor_layer_gives_its_tops_their_shapes():
    built = net(python("src", "Source", ""), layer("abs", "AbsVal", "src"))
    assert built.blobs["abs"].shape == (4, 2)
    assert built.forward()["abs"].shape == (5, 2)
    assert isinstance(built.blobs["src"].tensor, torch.Tensor)


@pytest.mark.parametrize("cls, message", [
    ("WrongCount", "expected forward.. to return 1 tensors, one per top, got 2"),
    ("WrongType", "expected forward.. to return tensors, got str")])
def test_tensor_layer_must_return_its_tops(cls, message):
    with pytest.raises(caffe.CaffeError, match=f'layer "bad".*{message}'):
        net(X, python("bad", cls, "x")).forward()


@pytest.mark.parametrize("module, cls, error, message", [
    ("my_layer", "Ten", caffe.CaffeError, 'no Python module "my_layer" on sys.path'),
    ("my_layers", "Tenn", caffe.CaffeError, 'no class "Tenn" .did you mean "Ten"'),
    ("my_layers", "np", caffe.CaffeError, 'no class "np"'),
    ("", "Ten", caffe.CaffeError, "expected python_param with module and layer"),
    ("broken_layers", "Ten", ZeroDivisionError, "division"),
    ("needy_layers", "Ten", ModuleNotFoundError, "nowhere_to_be_found")])
def test_layers_that_cannot_be_found(module, cls, error, message):
    with pytest.raises(error, match=message) as raised:
        net(X, python("bad", cls, "x", module=module))
    assert 'layer "bad"' in str(raised.value) + str(getattr(raised.value, "__notes__", ""))
