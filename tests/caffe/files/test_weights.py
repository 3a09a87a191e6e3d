"""Weights, solver states and mean files: every form that exists, exact values, damage refused."""
import os
import pathlib
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe.core.errors import WeightsError
from caffe.files import weights, wire
from caffe.proto import caffe_pb2 as pb

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared"
SQUEEZENET = SHARED / "weights" / "squeezenet_v1.0.caffemodel"


def rng():
    return np.random.default_rng(0)


def three_layers():
    values = rng().standard_normal
    return [("input", "Input", []),
            ("conv/1x1", "Convolution", [values((4, 3, 1, 1)).astype(np.float32),
                                         values(4).astype(np.float32)]),
            ("fc", "InnerProduct", [values((2, 36)).astype(np.float32)])]


def as_blob(array, **fields):
    return pb.BlobProto(data=np.ravel(array), shape=pb.BlobShape(dim=array.shape), **fields)


def equal(layers, expected):
    return list(layers) == [name for name, *_ in expected] and all(
        len(layers[name]) == len(blobs)
        and all(np.array_equal(a, b) and a.shape == b.shape
                for a, b in zip(layers[name], blobs, strict=True))
        for name, _, blobs in expected)


def saved(path, message):
    path.write_bytes(message if isinstance(message, bytes) else message.SerializeToString())
    return path


# -- reading what protobuf wrote


def test_current_format(tmp_path):
    net = pb.NetParameter(name="n", layer=[
        pb.LayerParameter(name=name, type=kind, bottom=["x"], blobs=[as_blob(b) for b in blobs])
        for name, kind, blobs in three_layers()])
    assert equal(weights.read_weights(saved(tmp_path / "w", net)), three_layers())


def test_v1_and_v0_formats(tmp_path):
    blob = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    legacy = pb.BlobProto(data=blob.ravel(), num=1, channels=1, height=2, width=3)
    v1 = pb.V1LayerParameter(name="a", type=pb.V1LayerParameter.CONVOLUTION, blobs=[legacy])
    v0 = pb.V1LayerParameter(layer=pb.V0LayerParameter(name="b", type="conv", blobs=[legacy]))
    layers = weights.read_weights(saved(tmp_path / "w", pb.NetParameter(name="n", layers=[v1, v0])))
    assert equal(layers, [("a", "", [blob]), ("b", "", [blob])])


def test_layer_named_twice_keeps_the_blobs(tmp_path):
    blob = np.ones(2, np.float32)
    net = pb.NetParameter(name="n", layer=[pb.LayerParameter(name="a", blobs=[as_blob(blob)]),
                                           pb.LayerParameter(name="a")])
    assert equal(weights.read_weights(saved(tmp_path / "w", net)), [("a", "", [blob])])


def test_double_values_and_gradients(tmp_path):
    values = rng().standard_normal(5)
    blob = pb.BlobProto(double_data=values, double_diff=values, diff=[1, 2],
                        shape=pb.BlobShape(dim=[5]))
    net = pb.NetParameter(name="n", layer=[pb.LayerParameter(name="a", blobs=[blob])])
    [read] = weights.read_weights(saved(tmp_path / "w", net))["a"]
    assert read.dtype == np.float32 and np.array_equal(read, values.astype(np.float32))


@pytest.mark.parametrize("kind, dtype", [("FLOAT", "<f4"), ("FLOAT16", "<f2"), ("DOUBLE", "<f8")])
def test_raw_values_of_nvidias_caffe(tmp_path, kind, dtype):
    """Fields 10 and 12 of NVIDIA/caffe's BlobProto: how the values lie in memory, and as what."""
    values = np.array([[1.5, -2.25, 0], [6e-5, 1000, 3]], dtype)
    blob = pb.BlobProto(shape=pb.BlobShape(dim=[2, 3]), raw_data_type=pb.Type.Value(kind),
                        raw_data=values.tobytes(), raw_diff_type=pb.FLOAT16, raw_diff=b"\0" * 12)
    assert blob.SerializeToString().count(bytes([10 << 3])) and pb.FLOAT16 == 2
    net = pb.NetParameter(layer=[pb.LayerParameter(name="fc", type="InnerProduct", blobs=[blob])])
    read, = weights.read_weights(saved(tmp_path / "w", net))["fc"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float32))


@pytest.mark.parametrize("fields, says", [
    ({"raw_data": b"1234"}, "4 bytes are no whole number of values"),    # of double, the default
    ({"raw_data": b"123", "raw_data_type": pb.FLOAT16}, "3 bytes are no whole number of values"),
    ({"raw_data": b"1234", "raw_data_type": pb.FLOAT16}, "shape .1,. has 2 values")])
def test_raw_values_that_do_not_fit(tmp_path, fields, says):
    blob = pb.BlobProto(shape=pb.BlobShape(dim=[1]), **fields)
    net = pb.NetParameter(layer=[pb.LayerParameter(name="fc", blobs=[blob])])
    with pytest.raises(WeightsError, match=says):
        weights.read_weights(saved(tmp_path / "w", net))


def test_scalar_and_empty_blobs(tmp_path):
    blobs = [pb.BlobProto(data=[7], shape=pb.BlobShape()), as_blob(np.zeros((0, 3)))]
    net = pb.NetParameter(name="n", layer=[pb.LayerParameter(name="a", blobs=blobs)])
    scalar, empty = weights.read_weights(saved(tmp_path / "w", net))["a"]
    assert scalar.shape == () and scalar == 7 and empty.shape == (0, 3)


def unpacked(numbers, field=5, dtype="<f4", kind=wire.FIXED32):
    """Floats as protobuf wrote them before `packed`: a tag before every one."""
    tag = wire.varint(field << 3 | kind)
    return b"".join(tag + np.array(number, dtype).tobytes() for number in numbers)


def one_blob(content):
    layer = wire.sized(100, wire.text(1, "a"), wire.sized(7, content))
    return b"".join(wire.text(1, "n") + layer)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
def test_unpacked_floats(tmp_path, count):
    values = rng().standard_normal(count).astype(np.float32)
    shape = b"".join(wire.sized(7, wire.integer(1, count)))     # the dimension is not packed either
    path = saved(tmp_path / "w", one_blob(unpacked(values) + shape))
    assert np.array_equal(weights.read_weights(path)["a"][0], values)
    values = values.astype(np.float64)
    path = saved(tmp_path / "w", one_blob(unpacked(values, 8, "<f8", wire.FIXED64) + shape))
    assert np.array_equal(weights.read_weights(path)["a"][0], values.astype(np.float32))


def test_packed_and_unpacked_runs_in_turn(tmp_path):
    values = np.arange(60, dtype=np.float32)
    packed = b"".join(wire.sized(5, values[20:40].tobytes()))
    shape = b"".join(wire.sized(7, wire.sized(1, wire.varint(60))))
    content = unpacked(values[:20]) + packed + shape + unpacked(values[40:])
    path = saved(tmp_path / "w", one_blob(content))
    assert np.array_equal(weights.read_weights(path)["a"][0], values)


def test_legacy_shape_fits_fewer_axes():
    legacy = np.zeros((1, 1, 5, 16), np.float32).view(wire.LegacyArray)
    assert weights.fits(legacy, (5, 16)) and weights.fits(legacy, (1, 1, 5, 16))
    assert not weights.fits(legacy, (16, 5)) and not weights.fits(legacy, (1, 1, 1, 5, 16))
    assert not weights.fits(np.asarray(legacy).view(np.ndarray), (5, 16))
    assert weights.fits(np.zeros((), np.float32), ())


@pytest.mark.skipif(not SQUEEZENET.exists(), reason="the real SqueezeNet weights are not here")
def test_real_file_agrees_with_protobuf():
    net = pb.NetParameter.FromString(SQUEEZENET.read_bytes())
    layers = weights.read_weights(SQUEEZENET)
    assert list(layers) == [layer.name for layer in net.layer]
    assert sum(array.size for blobs in layers.values() for array in blobs) == 1248424
    for layer in net.layer:
        for array, blob in zip(layers[layer.name], layer.blobs, strict=True):
            assert list(array.shape) == list(blob.shape.dim)
            assert np.array_equal(array.ravel(), np.array(blob.data, np.float32))


# -- writing


def test_written_file_reads_back_in_protobuf_and_here(tmp_path):
    path = tmp_path / "w.caffemodel"
    weights.write_weights(path, "net", iter(three_layers()))
    assert equal(weights.read_weights(path), three_layers())
    net = pb.NetParameter.FromString(path.read_bytes())
    assert net.name == "net"
    assert [(layer.name, layer.type, len(layer.blobs)) for layer in net.layer] == \
        [(name, kind, len(blobs)) for name, kind, blobs in three_layers()]
    assert list(net.layer[1].blobs[0].shape.dim) == [4, 3, 1, 1]
    assert os.listdir(tmp_path) == ["w.caffemodel"]


def test_any_array_is_written_as_float32(tmp_path):
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)          # int64, not contiguous
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [array, np.float64(3)])])
    read, scalar = weights.read_weights(tmp_path / "w")["a"]
    assert np.array_equal(read, array) and scalar.shape == () and scalar == 3


def test_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "w"
    weights.write_weights(path, "n", three_layers())

    def interrupted():
        yield three_layers()[1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.write_weights(path, "other", interrupted())
    assert equal(weights.read_weights(path), three_layers()) and os.listdir(tmp_path) == ["w"]
    with pytest.raises(WeightsError, match="cannot be written: No such file"):
        weights.write_weights(tmp_path / "nowhere" / "w", "n", three_layers())


def test_hdf5_with_shared_blobs_and_slashes(tmp_path):
    path = tmp_path / "w.caffemodel.h5"
    (_, _, a), (_, _, b), (_, _, c) = three_layers()
    weights.write_weights_hdf5(path, [("in", a), ("x/1", b), ("x", c), ("y", [None, b[1]])])
    read = weights.read_weights(path)
    assert sorted(read) == ["in", "x", "x/1", "y"]
    assert read["in"] == [] and np.array_equal(read["x"][0], c[0])
    assert all(np.array_equal(p, q) for p, q in zip(read["x/1"], b, strict=True))
    assert read["y"][0] is None and np.array_equal(read["y"][1], b[1])
    with h5py.File(path) as file:
        assert file["data/x/1/0"].shape == (4, 3, 1, 1) and file["data/y/1"].dtype == np.float32


@pytest.mark.parametrize("name", ["s.solverstate", "s.solverstate.h5"])
def test_solver_state(tmp_path, name):
    history = [blob for _, _, blobs in three_layers() for blob in blobs]
    weights.write_state(tmp_path / name, 40, "net_iter_40.caffemodel", 2, history)
    state = weights.read_state(tmp_path / name)
    assert state[:3] == (40, "net_iter_40.caffemodel", 2)
    assert all(np.array_equal(p, q) for p, q in zip(state.history, history, strict=True))


def test_solver_state_as_caffe_reads_it(tmp_path):
    weights.write_state(tmp_path / "s", 40, "w", 0, [np.ones((2, 3))])
    message = pb.SolverState.FromString((tmp_path / "s").read_bytes())
    assert (message.iter, message.learned_net, message.current_step) == (40, "w", 0)
    assert list(message.history[0].shape.dim) == [2, 3]
    weights.write_state(tmp_path / "s.h5", 40, "w", 0, [np.ones((2, 3))])
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["iter"].shape == (1,) and file["history/0"].shape == (2, 3)
        kind = file["learned_net"].id.get_type()
        assert not kind.is_variable_str() and kind.get_size() == 2      # room for the zero byte


def test_binaryproto(tmp_path):
    mean = rng().standard_normal((1, 3, 4, 5)).astype(np.float32)
    weights.write_binaryproto(tmp_path / "m", mean)
    assert np.array_equal(weights.read_binaryproto(tmp_path / "m"), mean)
    assert pb.BlobProto.FromString((tmp_path / "m").read_bytes()) == as_blob(mean)


def test_big_file_costs_no_memory_until_used(tmp_path):
    big = np.zeros((1 << 24,), np.float32)                             # 64 MB
    weights.write_weights(tmp_path / "w", "n", [("a", "T", [big])])
    tracemalloc.start()
    [read] = weights.read_weights(tmp_path / "w")["a"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.nbytes == 1 << 26 and peak < 1 << 20


# -- damage


def small_files():
    net = pb.NetParameter(name="n", layer=[
        pb.LayerParameter(name=name, type=kind, blobs=[as_blob(b) for b in blobs])
        for name, kind, blobs in three_layers()])
    net.layers.add(name="old", type=4).blobs.add(data=[1, 2], num=1, channels=1, height=1, width=2)
    state = pb.SolverState(iter=3, learned_net="w", history=[as_blob(np.ones((2, 3)))])
    return net.SerializeToString(), state.SerializeToString()


NET, STATE = small_files()


def read_or_refuse(tmp_path_factory, content, read):
    path = tmp_path_factory.mktemp("damaged") / "w"
    path.write_bytes(content)
    try:
        return read(path)
    except WeightsError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path))
        return None


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, len(NET) - 1))
def test_truncated_weights(tmp_path_factory, cut):
    layers = read_or_refuse(tmp_path_factory, NET[:cut], weights.read_weights)
    if layers is not None:          # cut between two layers: then what is there is whole
        assert pb.NetParameter.FromString(NET[:cut]).SerializeToString() == NET[:cut]


@settings(max_examples=300, deadline=None)
@given(where=st.integers(0, len(NET) - 1), byte=st.integers(0, 255),
       insert=st.binary(max_size=12), drop=st.integers(0, 12))
def test_mutated_weights(tmp_path_factory, where, byte, insert, drop):
    content = NET[:where] + bytes([byte]) + insert + NET[where + 1 + drop:]
    layers = read_or_refuse(tmp_path_factory, content, weights.read_weights)
    if layers is not None:
        assert sum(a.nbytes for blobs in layers.values() for a in blobs) <= 2 * len(content)


@settings(max_examples=150, deadline=None)
@given(where=st.integers(0, len(STATE) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_state(tmp_path_factory, where, byte, cut):
    content = STATE[:where] if cut else STATE[:where] + bytes([byte]) + STATE[where + 1:]
    read_or_refuse(tmp_path_factory, content, weights.read_state)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200))
def test_noise(tmp_path_factory, content):
    for read in (weights.read_weights, weights.read_state, weights.read_binaryproto):
        read_or_refuse(tmp_path_factory, content, read)


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), insert=st.binary(min_size=1, max_size=8))
def test_mutated_hdf5(tmp_path_factory, where, insert):
    path = tmp_path_factory.mktemp("damaged") / "w.h5"
    weights.write_weights_hdf5(path, [(name, blobs) for name, _, blobs in three_layers()])
    content = bytearray(path.read_bytes())
    begin = 8 + int(where * (len(content) - 8))
    content[begin:begin + len(insert)] = insert
    read_or_refuse(tmp_path_factory, bytes(content), weights.read_weights)


@pytest.mark.parametrize("content, says", [
    (b"", "the file is empty"),
    (b"<html>404 not found</html>", "text file"),
    (b"layer { name: 'a' }", "text file"),
    (as_blob(np.ones((2, 2))).SerializeToString(), "holds no layers"),
    (one_blob(unpacked([1, 2, 3]) + b"".join(wire.sized(7, wire.integer(1, 2)))),
     r"a blob of shape \(2,\) has 3 values"),
    (one_blob(b"".join(wire.sized(5, b"12345"))), "no whole number of values"),
    (one_blob(b"".join(wire.sized(7, *(wire.integer(1, d) for d in (0, 1 << 40, 1 << 40))))),
     "a blob of shape"),
])
def test_refusals_say_why(tmp_path, content, says):
    with pytest.raises(WeightsError, match=says):
        weights.read_weights(saved(tmp_path / "w", content))


def test_missing_file(tmp_path):
    for read in (weights.read_weights, weights.read_state, weights.read_binaryproto):
        with pytest.raises(WeightsError, match="nowhere: cannot be read: No such file"):
            read(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="not a .solverstate"):
        weights.read_state(saved(tmp_path / "w", pb.NetParameter(name="n\n")))


def test_hdf5_does_not_follow_links_or_announced_sizes(tmp_path):
    secret = tmp_path / "secret.h5"
    weights.write_weights_hdf5(secret, [("a", [np.ones(3)])])
    for name, fill in {
        "group": lambda data: data.__setitem__("a", h5py.ExternalLink(str(secret), "/data/a")),
        "blob": lambda data: data.create_group("a").__setitem__(
            "0", h5py.ExternalLink(str(secret), "/data/a/0")),
        "soft": lambda data: data.__setitem__("a", h5py.SoftLink("/data")),
        "bomb": lambda data: data.create_dataset("a/0", shape=(1 << 40,), dtype="f4", chunks=True),
        "raw": lambda data: data.create_group("a").create_dataset(
            "0", shape=(4,), dtype="f4", external=[(str(secret), 0, 16)]),
    }.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            fill(file.create_group("data"))
        with pytest.raises(WeightsError, match="another|announces"):
            weights.read_weights(path)
    with h5py.File(tmp_path / "no.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(WeightsError, match='no group "data"'):
        weights.read_weights(tmp_path / "no.h5")
    with pytest.raises(WeightsError, match="iter is missing"):
        weights.read_state(tmp_path / "no.h5")
