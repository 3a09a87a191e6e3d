"""utils.safe_pickle: plain data come through, code does not."""
import os
import pickle

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
