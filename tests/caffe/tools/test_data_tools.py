"""convert_imageset, compute_image_mean and extract_features, as a user types them."""
import os
import subprocess
import sys

import cv2
import data_files
import numpy as np
import pytest
from net_texts import fc, layer

import caffe
from caffe.files import databases, weights
from caffe.files import images as image_files
from caffe.tools import command, compute_image_mean, convert_imageset, extract_features

ENGINE = os.path.dirname(os.path.dirname(caffe.__file__))


@pytest.fixture
def tool(capsys):
    """Runs a tool's main in this process; gives (status, what it wrote to stderr)."""
    def run(module, *words):
        status = module.main([str(word) for word in words])
        return status, capsys.readouterr().err
    return run


@pytest.fixture
def images():
    return data_files.pictures(4)


@pytest.fixture
def listed(tmp_path, images):
    """(root folder with its slash, list file)."""
    folder = tmp_path / "images"
    folder.mkdir()
    return f"{folder}/", data_files.write_images(folder, images)


def datums(path, backend="lmdb"):
    return [(bytes(key).decode(), image_files.read_datum(path, key, value)[1])
            for key, value in databases.open_database(path, backend).items()]


def assert_refused(result, *words):
    status, err = result
    assert status == 2, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for word in words:
        assert word in last


def test_conversion_as_a_process_of_its_own(tmp_path, listed, images):
    done = subprocess.run(
        [sys.executable, "-m", "caffe.tools.convert_imageset", *listed, str(tmp_path / "db")],
        env={**os.environ, "PYTHONPATH": ENGINE}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "] A total of 4 images.\n" in done.stderr and "] Processed 4 files.\n" in done.stderr
    found = datums(tmp_path / "db")
    assert [key for key, _ in found] == [f"0000000{i}_{i}.png" for i in range(4)]
    for i, (_, datum) in enumerate(found):
        assert datum.label == i and not datum.encoded
        np.testing.assert_array_equal(image_files.datum_image(datum), images[i].transpose(2, 0, 1))


def test_resized_and_grey_to_leveldb(tool, tmp_path, listed):
    pytest.importorskip("plyvel")
    assert tool(convert_imageset, "--gray", "-resize_height", 3, "--resize_width=5", "-noshuffle",
                "-backend", "leveldb", *listed, tmp_path / "db")[0] == 0
    _, datum = datums(tmp_path / "db", "leveldb")[2]
    grey = cv2.imread(listed[0] + "2.png", cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(image_files.datum_image(datum)[0], cv2.resize(grey, (5, 3)))


def test_encoded_files_are_kept_byte_for_byte(tool, tmp_path, listed):
    assert tool(convert_imageset, "-encoded", *listed, tmp_path / "db")[0] == 0
    for i, (_, datum) in enumerate(datums(tmp_path / "db")):
        with open(f"{listed[0]}{i}.png", "rb") as file:
            assert datum.encoded and datum.data == file.read()


@pytest.mark.parametrize("flags, channels, size", [
    (["-encode_type", "jpg"], 3, (6, 8)), (["-encoded", "-gray"], 1, (6, 8)),
    (["-encoded", "-resize_width=4", "-resize_height=4", "-encode_type=.JPEG"], 3, (4, 4))])
def test_encoded_anew_where_something_changes(tool, tmp_path, listed, flags, channels, size):
    assert tool(convert_imageset, *flags, *listed, tmp_path / "db")[0] == 0
    datum = datums(tmp_path / "db")[0][1]
    assert datum.encoded and image_files.datum_image(datum).shape == (channels, *size)
    assert (datum.data[:2] == b"\xff\xd8") == any("encode_type" in flag for flag in flags)


def test_shuffled(tool, tmp_path, listed):
    orders = set()
    for seed in range(6):
        caffe.set_random_seed(seed)
        assert tool(convert_imageset, "-shuffle", *listed, tmp_path / str(seed))[0] == 0
        orders.add(tuple(datum.label for _, datum in datums(tmp_path / str(seed))))
    assert len(orders) > 1 and all(sorted(order) == [0, 1, 2, 3] for order in orders)


def test_unreadable_images_are_left_out_by_name(tool, tmp_path, listed):
    os.remove(listed[0] + "1.png")
    status, err = tool(convert_imageset, *listed, tmp_path / "db")
    assert status == 0 and "list.txt:2: image" in err and "Processed 3 files." in err
    assert [datum.label for _, datum in datums(tmp_path / "db")] == [0, 2, 3]


def test_sizes_are_checked_if_wanted(tool, tmp_path, listed):
    cv2.imwrite(listed[0] + "2.png", np.zeros((6, 9, 3), np.uint8))
    result = tool(convert_imageset, "-check_size", *listed, tmp_path / "db")
    assert_refused(result, "list.txt:3", "has 162 values, those before it 144")
    assert not (tmp_path / "db").exists()
    assert tool(convert_imageset, *listed, tmp_path / "db")[0] == 0


def test_conversions_that_are_refused(tool, tmp_path, listed):
    target = tmp_path / "db"
    assert_refused(tool(convert_imageset, "-grey", *listed, target), '-grey (did you mean "gray"?)')
    assert_refused(tool(convert_imageset, "-resize_width", "x", *listed, target),
                   'expected a whole number, got "x"')
    assert_refused(tool(convert_imageset, "-resize_width=3", *listed, target), "give both")
    assert_refused(tool(convert_imageset, "-backend", "hdf5", *listed, target), "hdf5", "leveldb")
    assert_refused(tool(convert_imageset, "-encode_type", "doc", *listed, target), '"doc"')
    assert_refused(tool(convert_imageset, "nowhere/", listed[1], target), "none of the 4 images")
    assert_refused(tool(convert_imageset, listed[0], "no.txt", target), "no.txt", "No such file")
    target.mkdir()
    assert_refused(tool(convert_imageset, *listed, target), "db: exists already")
    assert sorted(os.listdir(tmp_path)) == ["db", "images"]


def test_usage(tool, capsys):
    for module in (convert_imageset, compute_image_mean, extract_features):
        status, err = tool(module)
        assert status == 1 and err.startswith("usage: ")
        assert module.main(["--help"]) == 0
        assert capsys.readouterr().out.startswith("usage: ")


def test_flags_as_gflags_reads_them():
    defaults = {"yes": False, "no": True, "n": 1, "name": ""}
    flags, words = command.parse_flags(
        ["a", "-yes", "--nono", "-n", "-3", "--name=x=y", "b", "--", "-n"], defaults)
    assert flags == {"yes": True, "no": False, "n": -3, "name": "x=y"}
    assert words == ["a", "b", "-n"]
    assert command.parse_flags(["--yes=TRUE", "-no=0"], defaults)[0]["no"] is False
    for argv, words in ((["-yes=maybe"], "expected true or false"), (["-n"], "-n needs a value"),
                        (["--noname"], "unknown flag --noname")):
        with pytest.raises(command.UsageError, match=words):
            command.parse_flags(argv, defaults)


# --------------------------------------------------------------------------------------------- mean

@pytest.mark.parametrize("encode", [None, ".png"])
def test_mean_image(tool, tmp_path, images, encode):
    path = data_files.write_database(tmp_path / "db", images, encode=encode)
    status, err = tool(compute_image_mean, path, tmp_path / "mean.binaryproto")
    wanted = np.mean([image.transpose(2, 0, 1) for image in images], axis=0)
    mean = weights.read_binaryproto(tmp_path / "mean.binaryproto")
    assert status == 0 and mean.shape == (1, 3, 6, 8)
    np.testing.assert_allclose(mean[0], wanted, rtol=1e-6)
    assert "] Number of channels: 3\n" in err
    for c in range(3):
        assert f"] mean_value channel [{c}]: {wanted[c].mean():.6g}\n" in err


def test_means_that_cannot_be(tool, tmp_path, images):
    path = data_files.write_database(tmp_path / "db", images + data_files.pictures(1, 5, 5))
    assert_refused(tool(compute_image_mean, path), 'record "00000004"', "(3, 5, 5)", "(3, 6, 8)")
    assert_refused(tool(compute_image_mean, tmp_path / "no"), "there is no LMDB here")
    with databases.new_database(tmp_path / "empty", "lmdb"):
        pass
    assert_refused(tool(compute_image_mean, tmp_path / "empty"), "has no records")


# ----------------------------------------------------------------------------------------- features

@pytest.fixture
def trained(tmp_path, images):
    """(weights, prototxt) of a net that reads 4 images in batches of 3."""
    database = data_files.write_database(tmp_path / "images_db", images)
    text = (layer("d", "Data", "", "data label",
                  f"data_param {{ source: '{database}' backend: LMDB batch_size: 3 }}")
            + fc("fc", "data", 5) + layer("gone", "Silence", "label", ""))
    (tmp_path / "net.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.save(tmp_path / "net.caffemodel")
    return tmp_path / "net.caffemodel", tmp_path / "net.prototxt"


def test_features_of_two_blobs(tool, tmp_path, trained, images):
    status, err = tool(extract_features, *trained, "fc,data",
                       f"{tmp_path / 'fc_db'},{tmp_path / 'data_db'}", 2, "lmdb", "CPU")
    assert status == 0 and "Extracted features of 6 query images for feature blob fc" in err
    net = caffe.Net(str(trained[1]), caffe.TEST, weights=str(trained[0]))
    wanted = np.concatenate([net.forward(blobs=["fc"])["fc"].copy() for _ in range(2)])
    found = datums(tmp_path / "fc_db")
    assert [key for key, _ in found] == [f"{i:010d}" for i in range(6)]
    np.testing.assert_array_equal([datum.float_data for _, datum in found], wanted)
    datum = datums(tmp_path / "data_db")[4][1]      # items 0, 1, 2, then 3, 0, 1
    np.testing.assert_array_equal(image_files.datum_image(datum), images[0].transpose(2, 0, 1))


def test_extractions_that_are_refused(tool, tmp_path, trained):
    target = tmp_path / "features"
    run = [*trained, "fc", target, 1, "lmdb"]

    def changed(place, value):
        return tool(extract_features, *run[:place], value, *run[place + 1:])

    assert_refused(changed(0, "no.caffemodel"), "no.caffemodel")
    assert_refused(changed(2, "fc7"), 'no blob "fc7" (did you mean "fc"?)')
    assert_refused(changed(2, "fc,data"), "got 2 blobs and 1 databases")
    assert_refused(changed(4, "many"), 'the number of batches, got "many"')
    assert_refused(changed(5, "hdf5"), 'backend "hdf5"')
    assert_refused(tool(extract_features, *run, "TPU"), "expected CPU or GPU", "got TPU 0")
    assert not target.exists()
