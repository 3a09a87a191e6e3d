"""Databases, and the Datums and lists of images that data layers and tools read."""
import os
import sys

import cv2
import data_files
import lmdb
import numpy as np
import pytest

from caffe.core.errors import DataError
from caffe.files import databases
from caffe.files import images as image_files
from caffe.proto import caffe_pb2

BACKENDS = ["lmdb", "leveldb"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "leveldb":
        pytest.importorskip("plyvel")
    return request.param


def records(path, backend):
    return [(bytes(key), bytes(value))
            for key, value in databases.open_database(path, backend).items()]


def test_records_come_in_the_order_of_their_keys(tmp_path, backend):
    path = tmp_path / "db"
    with databases.new_database(path, backend) as database:
        for i in np.random.default_rng(0).permutation(2500):    # more than a transaction holds
            database.put(b"%04d" % i, b"value %d" % i)
    assert records(path, backend) == [(b"%04d" % i, b"value %d" % i) for i in range(2500)]
    assert os.listdir(tmp_path) == ["db"]


def test_two_readers_share_a_database(tmp_path, backend):
    path = data_files.write_database(tmp_path / "db", data_files.pictures(3), backend=backend)
    first, second = (databases.open_database(p, backend).items()
                     for p in (path, os.path.relpath(path)))
    keys = [bytes(next(reader)[0]) for reader in (first, second, first, second)]
    assert keys == [b"00000000", b"00000000", b"00000001", b"00000001"]


def test_lmdb_is_what_others_read(tmp_path):
    path = data_files.write_database(tmp_path / "db", data_files.pictures(1))
    with lmdb.open(str(path), readonly=True, lock=False) as environment, \
            environment.begin() as transaction:
        assert caffe_pb2.Datum.FromString(transaction.get(b"00000000")).width == 8


def test_a_failed_block_leaves_nothing(tmp_path, backend):
    with pytest.raises(ZeroDivisionError), databases.new_database(tmp_path / "db", backend) as db:
        db.put(b"a", b"b")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_an_existing_path_is_kept(tmp_path, backend):
    (tmp_path / "db").write_text("mine")
    with pytest.raises(DataError, match="db: exists already"), \
            databases.new_database(tmp_path / "db", backend):
        pass
    assert (tmp_path / "db").read_text() == "mine"


def test_missing_and_mistaken_databases(tmp_path, backend):
    with pytest.raises(DataError, match="nowhere: there is no L"):
        databases.open_database(tmp_path / "nowhere", backend)
    assert os.listdir(tmp_path) == []       # LevelDB would make a folder
    other = BACKENDS[1 - BACKENDS.index(backend)]
    data_files.write_database(tmp_path / "db", data_files.pictures(1), backend=backend)
    with pytest.raises(DataError, match=f"so say backend: {backend.upper()}"):
        databases.open_database(tmp_path / "db", other)
    with pytest.raises(DataError, match='unknown .* "lmbd" .did you mean "lmdb"'):
        databases.open_database(tmp_path / "db", "lmbd")


def test_no_place_to_write(tmp_path):
    with pytest.raises(DataError, match="cannot be written: No such file or directory"), \
            databases.new_database(tmp_path / "no" / "db", "lmdb"):
        pass


def test_what_the_library_refuses(tmp_path):
    with pytest.raises(DataError, match="db: LMDB says: .*MDB_BAD_VALSIZE"), \
            databases.new_database(tmp_path / "db", "lmdb") as db:
        db.put(b"k" * 600, b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "data.mdb").write_bytes(b"no database" * 900)
    with pytest.raises(DataError, match="broken: LMDB says: .*MDB_INVALID"):
        databases.open_database(tmp_path / "broken", "lmdb")


def test_leveldb_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plyvel", None)
    (tmp_path / "CURRENT").write_text("")
    with pytest.raises(DataError, match=r"plyvel is not installed: .*\[leveldb\]"):
        databases.open_database(tmp_path, "leveldb")


def test_an_empty_database(tmp_path, backend):
    with databases.new_database(tmp_path / "db", backend):
        pass
    with pytest.raises(DataError, match="has no records"):
        next(databases.open_database(tmp_path / "db", backend).forever())


# --------------------------------------------------------------------------------------- Datums

def encoded(image):
    return caffe_pb2.Datum(data=cv2.imencode(".png", image)[1].tobytes(), encoded=True)


def test_images_go_into_datums_and_back():
    image, = data_files.pictures(1)
    datum = image_files.image_datum(image, 5)
    assert (datum.channels, datum.height, datum.width, datum.label) == (3, 6, 8, 5)
    np.testing.assert_array_equal(image_files.datum_image(datum), image.transpose(2, 0, 1))


def test_encoded_datums_have_their_own_channels_or_those_asked_for():
    image, = data_files.pictures(1)
    grey = image[:, :, 0]
    np.testing.assert_array_equal(image_files.datum_image(encoded(image)),
                                  image.transpose(2, 0, 1))
    np.testing.assert_array_equal(image_files.datum_image(encoded(grey)), grey[None])
    np.testing.assert_array_equal(image_files.datum_image(encoded(grey), True),
                                  np.stack([grey] * 3))
    shown = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert np.abs(image_files.datum_image(encoded(image), False)[0] - shown.astype(int)).max() <= 1


def test_float_datums():
    datum = caffe_pb2.Datum(channels=1, height=1, width=3, float_data=[0.5, -1, 1e9])
    array = image_files.datum_image(datum)
    assert array.dtype == np.float32 and array.tolist() == [[[0.5, -1, 1e9]]]


@pytest.mark.parametrize("datum, words", [
    (caffe_pb2.Datum(channels=3, height=2, width=2, data=b"abc"), r"\(3, 2, 2\) and holds 3"),
    (caffe_pb2.Datum(channels=2 ** 30, height=2 ** 30, width=16, data=b"abc"), "holds 3 values"),
    (caffe_pb2.Datum(channels=-1, height=-3, width=1, data=b"abc"), "holds 3 values"),
    (caffe_pb2.Datum(), r"\(0, 0, 0\) and holds 0"),
    (caffe_pb2.Datum(encoded=True, data=b"no image"), "cannot be decoded"),
    (encoded(np.zeros((2, 2), np.uint16)), "values of type uint16, expected bytes")])
def test_datums_that_cannot_be_read(datum, words):
    with pytest.raises(DataError, match=words):
        image_files.datum_image(datum)


def test_records_that_are_no_datums():
    with pytest.raises(DataError, match='db, record "key" is not a Datum'):
        image_files.read_datum("db", b"key", b"\xff\xff\xff")


# ------------------------------------------------------------------------------- lists of images

def test_lists_of_images(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg 3\n\nmy cat.jpg -1 \r\nalone.jpg\n")
    assert [tuple(image) for image in image_files.read_image_list(path)] == [
        ("a.jpg", 3, f"{path}:1"), ("my cat.jpg", -1, f"{path}:3"), ("alone.jpg", 0, f"{path}:4")]


@pytest.mark.parametrize("text, words", [
    ("a.jpg 0\nb.jpg cat\n", 'list.txt:2: expected "image label", got the label "cat"'),
    ("a.jpg 5000000000\n", "list.txt:1: .* not a whole number of 32 bits"),
    ("\n \n", "list.txt: the list of images is empty")])
def test_bad_lists_of_images(tmp_path, text, words):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        image_files.read_image_list(tmp_path / "list.txt")


def test_a_missing_list():
    with pytest.raises(DataError, match="nowhere.txt: the list of images cannot be read: No such"):
        image_files.read_image_list("nowhere.txt")


def test_images_are_resized_as_opencv_does(tmp_path):
    image, = data_files.pictures(1)
    data_files.write_images(tmp_path, [image])
    np.testing.assert_array_equal(image_files.read_image(str(tmp_path / "0.png"), (3, 5)),
                                  cv2.resize(image, (5, 3)))
    assert image_files.read_image(str(tmp_path / "0.png"), (3, 5), False).shape == (3, 5, 1)
