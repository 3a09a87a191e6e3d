"""utils.safe_pickle: plain data come through, code does not."""
import io
import os
import pickle
import resource

import numpy as np
import pytest

from faster_rcnn.files import safe_pickle

PLAIN = [[], [np.zeros((0, 5), np.float32)]], {"rec": np.arange(3.0), "ap": np.float64(0.5), "n": 3}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol_are_read(protocol):
    boxes = np.arange(20, dtype=np.float32).reshape(4, 5)
    plain = [boxes, boxes.T, np.array(["a"]), "é", 1, None, b"", b"x"]
    value = safe_pickle.loads(pickle.dumps(plain, protocol))
    assert np.array_equal(value[0], boxes) and value[0].dtype == np.float32
    assert np.array_equal(value[1], boxes.T)
    assert value[2].tolist() == ["a"] and value[3:] == ["é", 1, None, b"", b"x"]


def test_dump_writes_protocol_2_and_load_reads_it(tmp_path):
    path = str(tmp_path / "detections.pkl")
    safe_pickle.dump(PLAIN, path)
    with open(path, "rb") as file:
        assert file.read(2) == b"\x80\x02"
    lists, numbers = safe_pickle.load(path)
    assert lists[0] == [] and lists[1][0].shape == (0, 5)
    assert numbers["rec"].tolist() == [0, 1, 2] and numbers["ap"] == 0.5
    assert os.listdir(tmp_path) == ["detections.pkl"]


def test_python_2_pickle_of_an_array_is_read():
    # numpy.array([[1, 2]], '<f4') as Python 2's cPickle writes it: data as a byte string
    content = (b"\x80\x02]cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
               b"K\x00\x85U\x01b\x87R(K\x01K\x01K\x02\x86cnumpy\ndtype\n"
               b"U\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
               b"J\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00@tba.")
    value, = safe_pickle.loads(content)
    assert value.tolist() == [[1.0, 2.0]] and value.dtype == np.float32


class Code:
    def __reduce__(self):
        return os.system, ("echo ran > proof",)


def test_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps([Code()]))
    with pytest.raises(safe_pickle.UnsafePickleError, match=r"evil\.pkl holds posix\.system"):
        safe_pickle.load(str(path))
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("content", [b"", b"plain text", pickle.dumps(PLAIN)[:-20]])
def test_what_is_no_pickle_is_named(tmp_path, content):
    path = tmp_path / "half.pkl"
    path.write_bytes(content)
    with pytest.raises(safe_pickle.UnsafePickleError, match="half.pkl is not a pickle"):
        safe_pickle.load(str(path))


def nested_tuples(count):
    """Tuples in tuples, used as a key: hashing them would end the process."""
    return b"\x80\x02})" + b"\x85" * count + b"Ns."


def doubled_tuples(count):
    """Each tuple holds the one before twice: hashing the last one would not end."""
    return b"\x80\x02})" + b"2\x86" * count + b"Ns."


def array_of(shape, dtype, data):
    """An array whose state says anything."""
    array = np.zeros(1, dtype)
    state = (1, shape, array.dtype, False, data)
    return pickle.dumps(type("Liar", (), {"__reduce__": lambda self: (
        array.__reduce__()[0], (np.ndarray, (0,), b"b"), state)})(), 2)


@pytest.mark.parametrize("content, words", [
    (b"\x80\x02Nr\xff\xff\xff\x7f.", None),            # a memo of 2 billion places
    (b"N" + b"p99999999999\n" + b".", None),
    (b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.", "not a pickle"),
    (nested_tuples(200_000), "a key of type tuple"), (doubled_tuples(80), "a key of type tuple"),
    (b"((tNd.", "a key of type tuple"),
    (array_of((1 << 36,), np.float64, b""), "shape .68719476736,. with 0 bytes"),
    (array_of((1 << 30,), object, []), "shape .1073741824,. with 0 bytes"),
    (array_of((-1,), np.float32, b""), "shape"),
    (pickle.dumps({1, 2}, 4), "holds a set"), (pickle.dumps(frozenset("a"), 4), "holds a set"),
    (b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.", "not"),
    (b"\x80\x02c_codecs\nencode\n}U\x01aNsb.", "gives a function a state"),
    (b"\x80\x02c_codecs\nencode\nU\x01aU\x05utf-7\x86R.", "holds text in 'utf-7'")])
def test_hostile_pickles_use_no_memory_and_end(content, words):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if words is None:
        safe_pickle.loads(content)
    else:
        with pytest.raises(safe_pickle.UnsafePickleError, match=words):
            safe_pickle.loads(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000    # KB


def test_object_arrays_and_scalars_of_plain_data_are_read():
    value = [np.array([np.zeros((2, 5)), None], object), np.float32(3), np.int64(4), np.str_("a")]
    content = io.BytesIO()
    pickle.dump(value, content, 2)
    boxes, number, count, text = safe_pickle.loads(content.getvalue())
    assert boxes[0].shape == (2, 5) and boxes[1] is None
    assert (number, count, text) == (3, 4, "a") and number.dtype == np.float32


def test_what_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.pkl")
    for name in ("pipe.pkl", "gone.pkl"):
        with pytest.raises(safe_pickle.UnsafePickleError, match=f"{name} is not"):
            safe_pickle.load(tmp_path / name)
