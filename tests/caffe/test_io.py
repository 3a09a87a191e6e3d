"""caffe.io: arrays in messages, the Transformer, images from files, crops."""
import cv2
import golden
import numpy as np
import pytest

from caffe import io
from caffe.core.errors import CaffeError
from caffe.proto import caffe_pb2 as pb

TRANSFORMERS = [case for case in golden.cases("caffe/files") if "/transformer__" in case]


def rng():
    return np.random.default_rng(1)


# -- messages


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3, 4), (), (3,), (0, 4)])
def test_blobproto_round_trip(shape):
    array = rng().standard_normal(shape).astype(np.float32)
    blob = io.array_to_blobproto(array, diff=2 * array)
    assert tuple(blob.shape.dim) == shape
    assert np.array_equal(io.blobproto_to_array(blob), array)
    assert np.array_equal(io.blobproto_to_array(blob, return_diff=True), 2 * array)
    assert io.blobproto_to_array(blob).shape == shape


def test_legacy_shape_and_double_values():
    blob = pb.BlobProto(double_data=[1, 2, 3], num=1, channels=1, height=1, width=3)
    assert io.blobproto_to_array(blob).tolist() == [[[[1, 2, 3]]]]


def test_recorded_mean_file():
    _, arrays = golden.read_case("caffe/files/binaryproto__mean_legacy")
    blob = pb.BlobProto.FromString(arrays["file.mean.binaryproto"].tobytes())
    assert np.array_equal(io.blobproto_to_array(blob), arrays["io"])


def test_blobprotovector_round_trip():
    arrays = [rng().standard_normal(shape).astype(np.float32) for shape in ((2, 3), (4,))]
    back = io.blobprotovector_str_to_arraylist(io.arraylist_to_blobprotovector_str(arrays))
    assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_datum_round_trip(dtype):
    array = (rng().random((3, 4, 5)) * 255).astype(dtype)
    datum = io.array_to_datum(array, label=7)
    assert datum.label == 7 and bool(datum.data) == (dtype == np.uint8)
    assert np.array_equal(io.datum_to_array(datum), array)
    assert not io.array_to_datum(array).HasField("label")
    with pytest.raises(ValueError, match=r"\(C, H, W\), not \(3, 4\)"):
        io.array_to_datum(array[:, :, 0])


def test_encoded_datum():
    image = (rng().random((4, 5, 3)) * 255).astype(np.uint8)
    datum = pb.Datum(data=cv2.imencode(".png", image)[1].tobytes(), encoded=True)
    assert np.array_equal(io.datum_to_array(datum), image.transpose(2, 0, 1))
    with pytest.raises(CaffeError, match="cannot decode"):
        io.datum_to_array(pb.Datum(data=b"no image", encoded=True))


# -- the Transformer


@pytest.mark.parametrize("case", TRANSFORMERS, ids=golden.short_name)
def test_recorded_transformations(case):
    meta, arrays = golden.read_case(case)
    for step in meta["steps"]:
        transformer = io.Transformer({"data": tuple(step["shape"])})
        for setting in ("transpose", "mean", "raw_scale", "channel_swap", "input_scale"):
            if setting in step:
                value = arrays[step[setting]] if setting == "mean" else step[setting]
                getattr(transformer, f"set_{setting}")("data", value)
        image = arrays[step["image"]].copy()
        result = transformer.preprocess("data", image)
        assert np.array_equal(image, arrays[step["image"]])         # the caller's image is kept
        if step.get("and_back"):
            result = transformer.deprocess("data", result)
        assert result.dtype == np.float32
        assert np.allclose(result, arrays[step["array"]], rtol=2e-4, atol=2e-5)


def test_the_recorded_transformations_are_there():
    assert len(TRANSFORMERS) >= 2


def test_transformer_by_hand():
    transformer = io.Transformer({"data": (1, 3, 1, 2)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 10)
    transformer.set_mean("data", np.array([1, 2, 3]))
    transformer.set_input_scale("data", 0.5)
    image = np.array([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]])          # (1, 2, 3), RGB
    result = transformer.preprocess("data", image)
    assert np.allclose(result, [[[1, 2.5]], [[0, 1.5]], [[-1, 0.5]]])
    assert np.allclose(transformer.deprocess("data", result), image)
    assert np.allclose(transformer.deprocess("data", result[None]), image)
    plain = io.Transformer({"data": (1, 1, 5, 6)})
    assert plain.deprocess("data", np.zeros((1, 1, 5, 6))).shape == (5, 6)


def test_transformer_resizes_image_and_mean():
    transformer = io.Transformer({"data": (1, 3, 6, 8)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", np.full((3, 12, 16), 0.25))
    assert transformer.mean["data"].shape == (3, 6, 8)
    result = transformer.preprocess("data", np.full((3, 4, 3), 0.75))
    assert result.shape == (3, 6, 8) and np.allclose(result, 0.5)


@pytest.mark.parametrize("call, says", [
    (lambda t: t.set_mean("data", np.zeros(4)), "3 channels, the mean 4"),
    (lambda t: t.set_mean("data", np.zeros((2, 5, 5))), "does not fit"),
    (lambda t: t.set_mean("dat", np.zeros(3)), "'dat' is not one of the net's inputs"),
    (lambda t: t.set_transpose("data", (1, 0)), "needs 3 axes"),
    (lambda t: t.set_channel_swap("data", (1, 0)), "3 channels"),
    (lambda t: t.preprocess("label", np.zeros((5, 5, 3))), "'label'"),
])
def test_transformer_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call(io.Transformer({"data": (1, 3, 5, 5)}))


# -- images


def test_load_image(tmp_path):
    bgr = (rng().random((4, 5, 3)) * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "colour.png"), bgr)
    image = io.load_image(tmp_path / "colour.png")
    assert image.dtype == np.float32 and np.allclose(image, bgr[:, :, ::-1] / 255.0)
    grey = io.load_image(str(tmp_path / "colour.png"), color=False)
    assert grey.shape == (4, 5, 1)
    assert np.allclose(grey[..., 0], bgr @ [0.0721, 0.7154, 0.2125] / 255, atol=1e-6)
    deep = (rng().random((4, 5)) * 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert np.allclose(io.load_image(tmp_path / "deep.png"), deep[..., None] / 65535.0)


def test_load_image_errors(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, says in (("text.png", "not an image"), ("empty.png", "not an image"),
                       ("nowhere.png", "cannot be read: No such file")):
        with pytest.raises(CaffeError, match=f"{name}: .*{says}"):
            io.load_image(tmp_path / name)


def test_resize_image():
    ramp = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((8, 6, 5))    # five channels
    half = io.resize_image(ramp, (4, 3))
    assert half.shape == (4, 3, 5) and half.dtype == np.float32
    assert np.allclose(half[:, 0, 0], [0.5, 2.5, 4.5, 6.5])      # pixel centres, not corners
    assert io.resize_image(ramp, (2, 2), interp_order=0).shape == (2, 2, 5)
    with pytest.raises(ValueError, match="interp_order 2"):
        io.resize_image(ramp, (4, 3), interp_order=2)


def test_oversample():
    image = rng().random((7, 9, 3)).astype(np.float32)
    crops = io.oversample([image, image + 1], (4, 4))
    assert crops.shape == (20, 4, 4, 3) and crops.dtype == np.float32
    expected = [image[:4, :4], image[:4, 5:], image[3:, :4], image[3:, 5:], image[1:5, 2:6]]
    assert np.array_equal(crops[:5], expected)
    assert np.array_equal(crops[5:10], np.array(expected)[:, :, ::-1])
    assert np.array_equal(crops[10], image[:4, :4] + 1)
    with pytest.raises(ValueError, match="crops of 8 x 4 do not fit"):
        io.oversample([image], (8, 4))
