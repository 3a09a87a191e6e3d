"""LMDBs that are cut off, and those that are open when Python ends."""
import os
import struct
import subprocess
import sys

import lmdb
import pytest

from caffe.core.errors import DataError
from caffe.files.databases import new_database, open_database

READ = """
import sys
from caffe.core.errors import DataError
from caffe.files.databases import open_database
try:
    print(sum(len(value) for _, value in open_database(sys.argv[1], "lmdb").items()))
except DataError as error:
    print("refused", error)
"""
AT_EXIT = """
import sys
from caffe.files.databases import open_database
records = open_database(sys.argv[1], "lmdb").items()
next(records)
class Cycle: pass
cycle = Cycle()
cycle.itself, cycle.records = cycle, records
"""


def run(program, path):
    return subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)


@pytest.fixture(params=[(300, 100), (300, 5000), (3, 70_000), (20_000, 10)])
def database(request, tmp_path):
    """(folder, bytes of all records): small records in leaf pages, large ones on pages of their own
    """
    count, size = request.param
    with new_database(tmp_path / "db", "lmdb") as writer:
        for i in range(count):
            writer.put(b"%08d" % i, bytes(size))
    return tmp_path / "db", count * size


def test_every_cut_is_noticed_before_the_file_is_mapped(database):
    folder, size = database
    path = folder / "data.mdb"
    whole = path.read_bytes()
    pages = len(whole) // 4096
    for page in {2, 3, pages // 4, pages // 2, pages - 3}:
        path.write_bytes(whole[:page * 4096 + 100])
        with pytest.raises(DataError) as caught:
            open_database(folder, "lmdb")
        assert str(caught.value).startswith(f"{path}: the file is truncated: it has ")
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    assert sum(len(value) for _, value in open_database(folder, "lmdb").items()) == size


def test_in_a_process_of_its_own(tmp_path):
    with new_database(tmp_path / "db", "lmdb") as writer:
        writer.put(b"0", bytes(70_000))
    assert run(READ, tmp_path / "db").stdout == "70000\n"
    os.truncate(tmp_path / "db" / "data.mdb", 20_000)
    done = run(READ, tmp_path / "db")
    assert done.returncode == 0 and done.stdout.startswith("refused"), done


def test_free_pages_at_the_end_need_not_be_there(tmp_path):
    with new_database(tmp_path / "db", "lmdb") as writer:
        for i in range(40):
            writer.put(b"%08d" % i, bytes(5000))
    environment = lmdb.open(str(tmp_path / "db"), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        for i in range(20, 40):
            transaction.delete(b"%08d" % i)
    environment.close()
    path = tmp_path / "db" / "data.mdb"
    data = path.read_bytes()
    for number in (0, 1):       # as if later pages had been taken and given back
        [last] = struct.unpack_from("<Q", data, number * 4096 + 136)
        assert 0 <= last < len(data) // 4096
        data = (data[:number * 4096 + 136] + struct.pack("<Q", len(data) // 4096 + 9)
                + data[number * 4096 + 144:])
    path.write_bytes(data)
    assert len(list(open_database(tmp_path / "db", "lmdb").items())) == 20


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(8192), b"\xff" * 20_000])
def test_what_is_no_lmdb(tmp_path, content):
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(DataError, match="LMDB says"):
        open_database(tmp_path, "lmdb")


def test_nothing_is_printed_when_python_ends(tmp_path):
    with new_database(tmp_path / "db", "lmdb") as writer:
        writer.put(b"0", b"")
    done = run(AT_EXIT, tmp_path / "db")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
