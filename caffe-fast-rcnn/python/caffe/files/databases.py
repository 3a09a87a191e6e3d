"""Databases of records in the order of their keys: LMDB and LevelDB (Caffe: util/db_*.cpp).

    for key, value in open_database("train_lmdb", "lmdb").items(): ...
    with new_database("train_lmdb", "lmdb") as database:
        database.put(b"00000000", datum.SerializeToString())
"""
import contextlib
import importlib
import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from caffe.core.errors import DataError, suggest
from caffe.core.packages import advice
from caffe.core.types import FilePath
from caffe.files.atomic import partial_name, sweep
from caffe.files.lmdb_pages import check_length

Record = tuple[bytes, bytes]     # key and value
_MAP_SIZE = 1 << 40     # address space reserved for an LMDB; the file grows as it is filled
_TRANSACTION = 1000     # records that are written together
# neither library opens a folder twice
_open_databases: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()


def open_database(source: FilePath, backend: str) -> "_Database":
    """The database in a folder, open for reading; all readers in the process share it.

    backend: "lmdb" or "leveldb". Raises DataError.
    """
    form = _form(backend)
    place = backend, os.path.realpath(source)
    database = _open_databases.get(place)
    if database is None:
        mark = os.path.join(source, form.MARK)
        if not os.path.isfile(mark):
            raise DataError(f"{source}: there is no {form.NAME} here (no file {mark})"
                            f"{_other_backend(source, form)}")
        database = _open_databases[place] = form(source)
    return database


@contextlib.contextmanager
def new_database(path: FilePath, backend: str) -> Iterator[Any]:
    """A database to `put(key, value)` (bytes) into; it is moved to `path` at the end of the block.

    A `path` that exists already is a DataError, as in Caffe.
    """
    form = _form(backend)
    if os.path.lexists(path):
        raise DataError(f"{path}: exists already; remove it or give another name")
    parent, name = os.path.split(os.path.abspath(path))
    sweep(parent)
    partial = os.path.join(parent, partial_name(name))
    with _writing(path):
        os.mkdir(partial)
    try:
        with _plain_errors(path, form), contextlib.closing(form.Writer(partial)) as writer:
            yield writer
        with _writing(path):
            os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _writing(path: FilePath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def _form(backend: str) -> "type[_Database]":
    if backend not in _FORMS:
        raise DataError(f'unknown database backend "{backend}"{suggest(backend, _FORMS)}; known: '
                        f"{', '.join(_FORMS)}")
    return _FORMS[backend]


def _other_backend(source: FilePath, form: "type[_Database]") -> str:
    other = next((f for f in _FORMS.values() if f is not form
                  and os.path.isfile(os.path.join(source, f.MARK))), None)
    return f"; it is a {other.NAME}, so say backend: {other.NAME.upper()}" if other else ""


def _library(name: str, form: "type[_Database]") -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError(f"{form.NAME}: {advice(name)}; or convert the database") from None


@contextlib.contextmanager
def _plain_errors(source: FilePath, form: "type[_Database]") -> Iterator[None]:
    """The library's exceptions as DataErrors."""
    error_class = _library(form.LIBRARY, form).Error    # not looked up when Python is about to end
    try:
        yield
    except error_class as error:
        sentence = " ".join(str(error).split())
        raise DataError(f"{source}: {form.NAME} says: {sentence}") from None


class _Database:
    """What both forms share."""

    NAME: str           # in messages
    LIBRARY: str        # the Python package
    MARK: str           # a file that every such folder has
    Writer: type

    def __init__(self, source: FilePath) -> None:
        self.source = os.fspath(source)

    def items(self) -> Iterator[Record]:
        """(key, value) of every record, in the order of the keys; bytes or views of bytes, which
        are valid until the next record.
        """
        with _plain_errors(self.source, type(self)):
            yield from self._records()

    def _records(self) -> Iterable[Record]:
        """The library's own iterator."""
        raise NotImplementedError

    def forever(self) -> Iterator[Record]:
        """The records again and again; an empty database is a DataError."""
        while True:
            record = None
            for record in self.items():
                yield record
            if record is None:
                raise DataError(f"{self.source}: this {self.NAME} has no records")


class _Lmdb(_Database):
    NAME, LIBRARY, MARK = "LMDB", "lmdb", "data.mdb"

    def __init__(self, source: FilePath) -> None:
        super().__init__(source)
        check_length(os.path.join(self.source, self.MARK))
        with _plain_errors(source, type(self)):
            lmdb = _library("lmdb", type(self))
            self._environment = lmdb.open(self.source, readonly=True, lock=False, create=False)

    def _records(self) -> Iterator[Record]:
        with self._environment.begin(buffers=True) as transaction:
            yield from transaction.cursor()

    class Writer:
        """Puts records into an LMDB in an empty folder."""

        def __init__(self, folder: str) -> None:
            self._environment = _library("lmdb", _Lmdb).open(folder, map_size=_MAP_SIZE)
            self._transaction = self._environment.begin(write=True)
            self._count = 0

        def put(self, key: bytes, value: bytes) -> None:
            self._transaction.put(key, value)
            self._count += 1
            if self._count % _TRANSACTION == 0:
                self._transaction.commit()
                self._transaction = self._environment.begin(write=True)

        def close(self) -> None:
            self._transaction.commit()
            self._environment.close()


class _LevelDb(_Database):
    NAME, LIBRARY, MARK = "LevelDB", "plyvel", "CURRENT"

    def __init__(self, source: FilePath) -> None:
        super().__init__(source)
        plyvel = _library("plyvel", type(self))
        with _plain_errors(source, type(self)):
            self._db = plyvel.DB(self.source, create_if_missing=False)

    def _records(self) -> Iterable[Record]:
        return self._db.iterator()

    class Writer:
        """Puts records into a LevelDB in an empty folder."""

        def __init__(self, folder: str) -> None:
            self._db = _library("plyvel", _LevelDb).DB(folder, create_if_missing=True)
            self._batch, self._count = self._db.write_batch(), 0

        def put(self, key: bytes, value: bytes) -> None:
            self._batch.put(key, value)
            self._count += 1
            if self._count % _TRANSACTION == 0:
                self._batch.write()
                self._batch.clear()

        def close(self) -> None:
            self._batch.write()
            self._db.close()


_FORMS = {"lmdb": _Lmdb, "leveldb": _LevelDb}
