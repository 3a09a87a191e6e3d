"""Data, ImageData, HDF5Data, HDF5Output and MemoryData in nets; their numbers by hand."""
import gc
import logging
import threading

import cv2
import data_files
import h5py
import numpy as np
import pytest
from net_texts import input_layer, layer, net

import caffe


def data_layer(source, batch_size, rest="", options="", tops="data label"):
    return layer("d", "Data", "", tops, f"data_param {{ source: '{source}' backend: LMDB "
                                        f"batch_size: {batch_size} {options} }} {rest}")


def image_layer(source, batch_size, rest="", options=""):
    return layer("d", "ImageData", "", "data label",
                 f"image_data_param {{ source: '{source}' root_folder: '{source.parent}/' "
                 f"batch_size: {batch_size} {options} }} {rest}")


def hdf5_layer(source, batch_size, options="", tops="data label"):
    return layer("d", "HDF5Data", "", tops,
                 f"hdf5_data_param {{ source: '{source}' batch_size: {batch_size} {options} }}")


def labels(net, passes):
    """The labels of so many passes, in one list."""
    found = []
    for _ in range(passes):
        net.forward()
        found += net.blobs["label"].data.reshape(-1).astype(int).tolist()
    return found


def chw(images):
    return np.stack([image.transpose(2, 0, 1) for image in images]).astype(np.float32)


@pytest.fixture
def images():
    return data_files.pictures(5)


@pytest.fixture
def lmdb_path(tmp_path, images):
    return data_files.write_database(tmp_path / "db", images)


@pytest.fixture
def list_path(tmp_path, images):
    return data_files.write_images(tmp_path, images)


@pytest.fixture(params=["Data", "ImageData"])
def either(request):
    """A function (batch size, transform_param, prefetch) -> text of a layer that reads `images`."""
    if request.param == "Data":
        path = request.getfixturevalue("lmdb_path")
        return lambda size, rest="", prefetch=4: data_layer(path, size, rest,
                                                            f"prefetch: {prefetch}")
    path = request.getfixturevalue("list_path")
    return lambda size, rest="", prefetch=4: image_layer(
        path, size, f"{rest} data_param {{ prefetch: {prefetch} }}")


# ------------------------------------------------------------------------- Data and ImageData alike

def test_batches_come_in_order_and_start_over(either, images):
    n = net(either(3))
    assert n.blobs["data"].shape == (3, 3, 6, 8) and n.blobs["label"].shape == (3,)
    for wanted in ([0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]):
        n.forward()
        np.testing.assert_array_equal(n.blobs["data"].data, chw(images)[wanted])
        np.testing.assert_array_equal(n.blobs["label"].data, wanted)
    assert n.inputs == []


def test_a_batch_may_be_larger_than_the_data(either):
    assert labels(net(either(7)), 2) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3]


def test_images_are_transformed(either, images):
    n = net(either(2, "transform_param { crop_size: 4 mean_value: 100 scale: 0.5 }"),
            phase=caffe.TEST)
    n.forward()
    np.testing.assert_array_equal(n.blobs["data"].data,
                                  (chw(images)[:2, :, 1:5, 2:6] - 100) * np.float32(0.5))


def test_the_seed_decides_whatever_is_read_ahead(either):
    def passes(seed, prefetch):
        caffe.set_random_seed(seed)
        n = net(either(4, "transform_param { crop_size: 3 mirror: true }", prefetch))
        return np.stack([n.forward()["data"].copy() for _ in range(5)])

    first = passes(3, 0)
    for prefetch in (0, 1, 9):
        np.testing.assert_array_equal(first, passes(3, prefetch))
    assert not np.array_equal(first, passes(4, 0))


def test_solvers_share_the_items_out_when_training(either):
    try:
        caffe.set_solver_count(3)
        caffe.set_solver_rank(1)
        assert labels(net(either(2)), 4) == [1, 4, 2, 0, 3, 1, 4, 2]    # 1, 4, 7, ... modulo 5
        assert labels(net(either(2), phase=caffe.TEST), 2) == [0, 1, 2, 3]
        assert (caffe.solver_count(), caffe.solver_rank()) == (3, 1)
    finally:
        caffe.set_solver_count(1)
        caffe.set_solver_rank(0)


def test_impossible_counts_and_ranks():
    with pytest.raises(caffe.CaffeError, match="solver count of at least 1, got 0"):
        caffe.set_solver_count(0)
    with pytest.raises(caffe.CaffeError, match="solver rank of at least 0, got -1"):
        caffe.set_solver_rank(-1)


def prefetch_threads():
    return {t for t in threading.enumerate() if t.name.startswith("prefetch")}


def test_the_thread_ends_with_the_net(either):
    before = prefetch_threads()
    n = net(either(2))
    n.forward()
    thread, = prefetch_threads() - before
    del n
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_a_crop_larger_than_the_images(either):
    with pytest.raises(caffe.CaffeError, match='layer "d" .*crop_size 7 is larger than the image '
                                               "of 6 x 8"):
        net(either(2, "transform_param { crop_size: 7 }"))


def test_batches_of_different_sizes(tmp_path):
    images = data_files.pictures(2, 6, 8) + data_files.pictures(2, 5, 9)
    path = data_files.write_database(tmp_path / "db", images)
    n = net(data_layer(path, 2))
    shapes = [n.forward()["data"].shape for _ in range(3)]
    assert shapes == [(2, 3, 6, 8), (2, 3, 5, 9), (2, 3, 6, 8)]
    n = net(data_layer(path, 3))
    for _ in range(2):      # the error stays
        with pytest.raises(caffe.CaffeError, match='record "00000002": the image makes a top of '
                                                   r"shape \(3, 5, 9\), the first .*\(3, 6, 8\)"):
            n.forward()


# --------------------------------------------------------------------------------------------- Data

def test_one_top_is_enough(lmdb_path):
    n = net(data_layer(lmdb_path, 2, tops="data"))
    assert list(n.forward()) == ["data"]


def test_train_and_test_nets_read_the_same_database(lmdb_path):
    first, second = net(data_layer(lmdb_path, 2)), net(data_layer(lmdb_path, 3), phase=caffe.TEST)
    assert labels(first, 1) + labels(second, 2) + labels(first, 1) == [0, 1, 0, 1, 2, 3, 4, 0, 2, 3]


@pytest.mark.parametrize("rest, channels", [
    ("", 3), ("transform_param { force_gray: true }", 1),
    ("transform_param { force_color: true }", 3)])
def test_encoded_images(tmp_path, images, rest, channels):
    path = data_files.write_database(tmp_path / "encoded", images, encode=".png")
    n = net(data_layer(path, 2, rest))
    n.forward()
    wanted = chw(images)[:2] if channels == 3 else np.stack(
        [cv2.imdecode(cv2.imencode(".png", image)[1], cv2.IMREAD_GRAYSCALE)[None]
         for image in images[:2]])
    np.testing.assert_array_equal(n.blobs["data"].data, wanted)


def test_grey_images_forced_to_colour(tmp_path, images):
    path = data_files.write_database(tmp_path / "grey", [i[:, :, :1] for i in images],
                                     encode=".png")
    assert net(data_layer(path, 2)).blobs["data"].shape == (2, 1, 6, 8)
    n = net(data_layer(path, 2, "transform_param { force_color: true }"))
    n.forward()
    np.testing.assert_array_equal(n.blobs["data"].data, chw(images)[:2, [0, 0, 0]])


def test_leveldb_is_the_default_backend_as_in_caffe(tmp_path, images):
    pytest.importorskip("plyvel")
    path = data_files.write_database(tmp_path / "level", images, backend="leveldb")
    assert labels(net(data_layer(path, 4).replace("backend: LMDB", "")), 2) == \
        [0, 1, 2, 3, 4, 0, 1, 2]


def test_rand_skip_leaves_out_some_at_the_start(lmdb_path):
    starts = set()
    for seed in range(30):
        caffe.set_random_seed(seed)
        first, second = labels(net(data_layer(lmdb_path, 2, options="rand_skip: 3")), 1)
        assert second == first + 1
        starts.add(first)
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("text, words", [
    ("data_param { source: 'nowhere' backend: LMDB batch_size: 1 }", "nowhere: there is no LMDB"),
    ("data_param { source: 'nowhere' batch_size: 1 }", "nowhere: there is no LevelDB"),
    ("data_param { source: 'nowhere' backend: LMDB }", "expected batch_size > 0, got 0"),
    ("data_param { source: 'x' batch_size: 1 } transform_param { force_color: true "
     "force_gray: true }", "expected force_color or force_gray, got both")])
def test_data_layers_that_cannot_be(text, words):
    with pytest.raises(caffe.CaffeError, match=f'layer "d" .Data.: .*{words}'):
        net(layer("d", "Data", "", "data label", text))


def test_settings_that_moved_are_named(lmdb_path, caplog):
    with caplog.at_level(logging.WARNING, "caffe"):
        net(data_layer(lmdb_path, 1, options="mirror: true"))
    assert "mirror has no effect here; write it in transform_param" in caplog.text


# ---------------------------------------------------------------------------------------- ImageData

def test_images_are_resized_and_grey(list_path, images):
    n = net(image_layer(list_path, 2, "", "new_height: 4 new_width: 3 is_color: false"))
    n.forward()
    for i in range(2):
        grey = cv2.imread(str(list_path.parent / f"{i}.png"), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(n.blobs["data"].data[i, 0], cv2.resize(grey, (3, 4)))


def test_shuffling_gives_every_image_once_per_pass_and_the_seed_decides(list_path):
    def order(seed):
        caffe.set_random_seed(seed)
        return labels(net(image_layer(list_path, 5, "", "shuffle: true")), 4)

    first = order(1)
    passes = [first[i:i + 5] for i in range(0, 20, 5)]
    assert all(sorted(p) == [0, 1, 2, 3, 4] for p in passes)
    assert len(set(map(tuple, passes))) > 1
    assert first == order(1) != order(2)


@pytest.mark.parametrize("options, words", [
    ("new_height: 3", "expected new_height and new_width, or neither, got 3 and 0"),
    ("batch_size: 0", "expected batch_size > 0, got 0")])
def test_image_layers_that_cannot_be(list_path, options, words):
    text = image_layer(list_path, 2, "", options)
    with pytest.raises(caffe.CaffeError, match=words):
        net(text.replace("batch_size: 2 batch_size", "batch_size"))


def test_rand_skip_beyond_the_list(list_path):
    with pytest.raises(caffe.CaffeError, match="rand_skip came out as .* only 5 images"):
        net(image_layer(list_path, 2, "", "rand_skip: 1000000000"))


def test_an_unreadable_image_is_named_with_its_line(list_path):
    (list_path.parent / "3.png").write_text("no image")
    n = net(image_layer(list_path, 2))
    n.forward()
    with pytest.raises(caffe.CaffeError, match=r'layer "d" .ImageData.: .*list.txt:4: image .*3.png'
                                               " cannot be decoded"):
        n.forward()
    (list_path.parent / "0.png").unlink()
    with pytest.raises(caffe.CaffeError, match="list.txt:1: image .*0.png cannot be read: No such"):
        net(image_layer(list_path, 2))


# ----------------------------------------------------------------------------------------- HDF5Data

def rows(begin, end):
    return {"data": np.arange(begin, end, dtype=np.float64)[:, None] * [1, 10],
            "label": np.arange(begin, end, dtype=np.int64)}


def test_rows_go_on_from_file_to_file(tmp_path):
    n = net(hdf5_layer(data_files.write_hdf5(tmp_path, rows(0, 3), rows(3, 5)), 4))
    assert n.blobs["data"].shape == (4, 2) and n.blobs["label"].shape == (4,)
    assert labels(n, 3) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    np.testing.assert_array_equal(n.blobs["data"].data, [[3, 30], [4, 40], [0, 0], [1, 10]])


def test_tops_are_found_by_name(tmp_path):
    path = data_files.write_hdf5(tmp_path, rows(0, 3))
    assert list(net(hdf5_layer(path, 2, tops="label")).forward()["label"]) == [0, 1]
    with pytest.raises(caffe.CaffeError, match="a.h5: /labels is missing"):
        net(hdf5_layer(path, 2, tops="data labels"))


def test_shuffled_files_stay_together(tmp_path):
    path = data_files.write_hdf5(tmp_path, rows(0, 4), rows(10, 14), rows(20, 24))

    def order(seed):
        caffe.set_random_seed(seed)
        return labels(net(hdf5_layer(path, 12, "shuffle: true")), 3)

    first = order(1)
    files = [first[i:i + 4] for i in range(0, 36, 4)]
    assert all(len({row // 10 for row in file}) == 1 for file in files)
    assert all(sorted(first[i:i + 12]) == [*range(4), *range(10, 14), *range(20, 24)]
               for i in (0, 12, 24))
    assert any(file != sorted(file) for file in files) and len({f[0] // 10 for f in files[::3]}) > 1
    assert first == order(1) != order(2)


@pytest.mark.parametrize("files, words", [
    ([{"data": np.zeros((3, 2)), "label": np.zeros(2)}], r"same number of rows, got data \(3, 2\)"),
    ([{"data": np.zeros((0, 2)), "label": np.zeros(0)}], "a.h5: the datasets have no rows"),
    ([{"data": np.zeros((2, 2)), "label": np.float32(1)}], "expected datasets with the same"),
    ([{"data": np.array([b"a"]), "label": np.zeros(1)}], "/data does not hold numbers")])
def test_hdf5_files_that_cannot_be_read(tmp_path, files, words):
    with pytest.raises(caffe.CaffeError, match=f'layer "d" .HDF5Data.: .*{words}'):
        net(hdf5_layer(data_files.write_hdf5(tmp_path, *files), 2))


def test_files_of_different_rows(tmp_path):
    other = {"data": np.zeros((2, 3)), "label": np.zeros(2)}
    n = net(hdf5_layer(data_files.write_hdf5(tmp_path, rows(0, 2), other), 3))
    with pytest.raises(caffe.CaffeError, match=r"rows of shape \(2,\) and \(3,\) in one batch"):
        n.forward()


def test_hdf5_lists_that_cannot_be_read(tmp_path):
    with pytest.raises(caffe.CaffeError, match="nowhere: the list of HDF5 files cannot be read"):
        net(hdf5_layer("nowhere", 2))
    (tmp_path / "list.txt").write_text("")
    with pytest.raises(caffe.CaffeError, match="the list of HDF5 files is empty"):
        net(hdf5_layer(tmp_path / "list.txt", 2))
    (tmp_path / "list.txt").write_text(str(tmp_path / "no.h5"))
    with pytest.raises(caffe.CaffeError, match="no.h5: not readable as HDF5"):
        net(hdf5_layer(tmp_path / "list.txt", 2))
    with pytest.raises(caffe.CaffeError, match="expected no transform_param"):
        net(layer("d", "HDF5Data", "", "data", "hdf5_data_param { batch_size: 1 } "
                                               "transform_param { scale: 2 }"))


# --------------------------------------------------------------------------------------- HDF5Output

def output_net(path, force="", **shapes):
    inputs = "".join(input_layer(name, *shape) for name, shape in shapes.items())
    return net(force, inputs, layer("out", "HDF5Output", " ".join(shapes), "",
                                    f"hdf5_output_param {{ file_name: '{path}' }}"))


def test_each_pass_adds_its_rows(tmp_path):
    path = tmp_path / "rows.h5"
    path.write_text("an older file")
    n = output_net(path, x=(2, 3), y=(2,))
    for step in range(2):
        n.forward(x=np.full((2, 3), step), y=np.arange(2) + 2 * step)
        with h5py.File(path) as file:       # complete after each pass
            assert file["data"].shape == (2 + 2 * step, 3, 1, 1)
            assert file["label"].dtype == np.float32
            np.testing.assert_array_equal(file["label"][:, 0, 0, 0], np.arange(2 + 2 * step))
    n.reshape()
    with h5py.File(path) as file:
        assert len(file["data"]) == 4


def test_output_files_take_no_gradient(tmp_path):
    n = output_net(tmp_path / "rows.h5", "force_backward: true ", x=(2, 3), y=(2,))
    n.forward()
    assert not n.backward()["x"].any()


def test_outputs_that_cannot_be_written(tmp_path):
    with pytest.raises(caffe.CaffeError, match='layer "out" .HDF5Output.: .*rows.h5 cannot be '
                                               "written: "):
        output_net(tmp_path / "no" / "rows.h5", x=(2, 3), y=(2,))
    n = output_net(tmp_path / "rows.h5", x=(2, 3), y=(3,))
    with pytest.raises(caffe.CaffeError, match="as many labels as data, got 3 and 2"):
        n.forward()
    n = output_net(tmp_path / "rows.h5", x=(2, 3), y=(2,))
    n.forward()
    n.blobs["x"].reshape(2, 4)
    with pytest.raises(caffe.CaffeError, match=r'the rows of "data" have shape \(3, 1, 1\)'):
        n.forward()


# --------------------------------------------------------------------------------------- MemoryData

MEMORY = layer("d", "MemoryData", "", "data label",
               "memory_data_param { batch_size: 2 channels: 1 height: 1 width: 2 }")


def test_arrays_are_read_in_turn_and_never_written():
    data = np.arange(8, dtype=np.float32).reshape(4, 1, 1, 2)
    n = net(MEMORY + layer("square", "Power", "data", "data", "power_param { power: 2 }"))
    n.set_input_arrays(data, np.arange(4, dtype=np.float32))
    assert labels(n, 3) == [0, 1, 2, 3, 0, 1]
    view = n.blobs["data"].data
    np.testing.assert_array_equal(view.reshape(-1), [0, 1, 4, 9])
    view[...] = -1
    assert data.reshape(-1).tolist() == list(range(8))
    data[2:] = 3        # pycaffe keeps the array, not a copy
    n.forward()
    np.testing.assert_array_equal(n.blobs["data"].data, np.full((2, 1, 1, 2), 9))


def test_new_arrays_begin_at_their_start():
    n = net(MEMORY)
    for first in (0, 100):
        n.set_input_arrays(np.zeros((4, 1, 1, 2), np.float32),
                           np.arange(first, first + 4, dtype=np.float32)[:, None, None, None])
        assert labels(n, 1) == [first, first + 1]


DATA, LABELS = np.zeros((4, 1, 1, 2), np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize("data, given_labels, words", [
    (DATA[:3], LABELS[:3], "multiple of the batch size 2 of data, got 3"),
    (DATA[:0], LABELS[:0], "multiple of the batch size 2 of data, got 0"),
    (DATA, LABELS[:2], "as many labels as data, got 2 and 4"),
    (DATA.astype(float), LABELS, "data: expected a C-contiguous float32 .*got float64"),
    (DATA, LABELS.astype(int), "labels: expected a C-contiguous float32 array of shape"),
    (DATA[::2], LABELS[:2], "data: expected .*, not C-contiguous"),
    (DATA[:, 0], LABELS, r"data: expected .*got float32 of shape \(4, 1, 2\)"),
    (DATA.reshape(4, 2, 1, 1), LABELS, r"shape \(n, 1, 1, 2\), got float32 of shape \(4, 2, 1, 1"),
    (DATA.tolist(), LABELS, "data: expected .*, got list")])
def test_arrays_that_do_not_fit(data, given_labels, words):
    with pytest.raises(caffe.CaffeError, match=words):
        net(MEMORY).set_input_arrays(data, given_labels)


def test_memory_data_without_arrays_or_sizes():
    with pytest.raises(caffe.CaffeError, match="call net.set_input_arrays"):
        net(MEMORY).forward()
    with pytest.raises(caffe.CaffeError, match="height and width > 0, got 2, 1, 0, 2"):
        net(MEMORY.replace("height: 1", "height: 0"))
    with pytest.raises(caffe.CaffeError, match="first layer is a MemoryData"):
        net(input_layer("x", 1)).set_input_arrays(DATA, LABELS)
