"""Whether an LMDB file has all the pages that its records lie on.

liblmdb maps the file into memory and trusts it: a file that was cut off ends the process with
SIGBUS when a record behind its end is read. So its pages are checked before it is mapped, by plain
reads. The layout is that of LMDB 0.9 on 64-bit machines (mdb.c):

    page 0, 1    meta pages: page size, root of the B+ tree, last page, transaction; the newer
                 one counts
    branch page  nodes with the numbers of pages below
    leaf page    nodes with a record each, or with the number of the overflow pages that hold it
"""
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from caffe.core.errors import DataError
from caffe.core.regular_files import open_regular
from caffe.core.types import FilePath

_MAGIC = 0xBEEFC0DE
_HEADER = struct.Struct("<8x2xHHH")         # of a page: flags, end of its pointers, -
_META = struct.Struct("<16xI20xI84xQQQ")    # magic, page size, root, last page, transaction
_NODE = struct.Struct("<HHHH")              # halves of a size, flags, length of the key
_BRANCH, _BIG = 0x01, 0x01                  # flags of a page and of a node
_NO_PAGE = (1 << 64) - 1


class _Meta(NamedTuple):
    page_size: int
    root: int
    last_page: int
    transaction: int


def check_length(path: FilePath) -> None:
    """Raises a DataError for an LMDB file that ends before its last record.

    liblmdb itself refuses a file that is no LMDB.
    """
    with open_regular(path) as file:
        descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
        meta = _newest_meta(descriptor)
        if meta is None or size >= (meta.last_page + 1) * meta.page_size:
            return
        # The last pages may be free ones, which are never written: only those in use count.
        end = max(((page + 1) * meta.page_size for page in _used_pages(descriptor, meta)),
                  default=0)
    if end > size:
        raise DataError(f"{path}: the file is truncated: it has {size} bytes, but its records "
                        f"reach to byte {end}; copy it again")


def _newest_meta(descriptor: int) -> _Meta | None:
    """The valid meta page of the last transaction."""
    found = []
    page_size = 4096
    for number in (0, 1):
        data = os.pread(descriptor, _META.size, number * page_size)
        if len(data) < _META.size:
            break
        magic, size, root, last_page, transaction = _META.unpack(data)
        if magic == _MAGIC and size >= 512 and not size & (size - 1):
            page_size = size
            found.append(_Meta(size, root, last_page, transaction))
    return max(found, key=lambda meta: meta.transaction, default=None)


def _used_pages(descriptor: int, meta: _Meta) -> Iterator[int]:
    """Numbers of the pages of all records; a page that is missing ends its branch."""
    todo, seen = [meta.root], set()
    while todo:
        page = todo.pop()
        if page == _NO_PAGE or page in seen:
            continue
        seen.add(page)
        yield page
        data = os.pread(descriptor, meta.page_size, page * meta.page_size)
        if len(data) < meta.page_size:
            continue
        flags, lower, _ = _HEADER.unpack_from(data)
        for offset in struct.unpack_from(f"<{max(0, lower - 16) // 2}H", data, 16):
            low, high, extra, key = _NODE.unpack_from(data, offset)
            if flags & _BRANCH:
                todo.append(low | high << 16 | extra << 32)
            elif extra & _BIG:
                first = int.from_bytes(data[offset + 8 + key:offset + 16 + key], "little")
                count = (16 + (low | high << 16) + meta.page_size - 1) // meta.page_size
                yield first + count - 1
