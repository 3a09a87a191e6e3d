#!/usr/bin/env python3
"""Puts single recorded cases into the file of their family.

    python tests/golden/pack.py tests/golden/caffe/layers

adds every file of the folder `layers` to `layers.zip` beside it, in place of a file of the same
name there; all others stay. The same files give the same bytes.
"""
import argparse
import io
import os
import pathlib
import zipfile


def uncompressed(case: bytes) -> bytes:
    """The same .npz with its arrays stored as they are: compressed as a whole it is smaller."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(case)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name))
    return result.getvalue()


def read_family(path: pathlib.Path) -> dict[str, bytes]:
    """The files of a family by name; none if there is no such family yet."""
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as family:
        return {name: family.read(name) for name in family.namelist()}


def write_family(path: pathlib.Path, files: dict[str, bytes]) -> None:
    """Writes the files, sorted by name and without times, and then replaces the old family."""
    unfinished = path.with_suffix(".zip.tmp")
    with open(unfinished, "wb") as stream:
        with zipfile.ZipFile(stream, "w") as family:
            for name, content in sorted(files.items()):
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o644 << 16        # the mode that unzip gives the file
                family.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=9)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, path)


def pack(folder: pathlib.Path) -> str:
    """Adds the files of a folder to the family beside it; returns a line that says what was done.

    Raises ValueError if the folder has no files, or if an .npz among them is none.
    """
    paths = sorted(path for path in folder.glob("*") if path.is_file())
    if not paths:
        raise ValueError(f"{folder}: no files to pack there")
    family = folder.with_name(folder.name + ".zip")
    old, new = read_family(family), {}
    for path in paths:
        content = path.read_bytes()
        try:
            new[path.name] = uncompressed(content) if path.suffix == ".npz" else content
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: not an .npz file ({error})") from error
    write_family(family, {**old, **new})
    return (f"{family}: {len(new.keys() - old.keys())} added, {len(new.keys() & old.keys())} "
            f"replaced, {len(old.keys() - new.keys())} kept")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="single cases; named as the family")
    try:
        print(pack(parser.parse_args().folder.resolve()))
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
