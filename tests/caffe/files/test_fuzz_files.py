"""Damaged files of every kind: read or refused, never a crash, a hang or a greedy allocation.

FUZZ_COUNT=5000 FUZZ_SEED=7 pytest tests/caffe/files/test_fuzz_files.py is a long campaign.
"""
import os
import pathlib
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import caffe
from caffe import io
from caffe.core.errors import CaffeError, LayerError, WeightsError
from caffe.files import prototxt, weights

COUNT, SEED = (os.environ.get(name, default) for name, default in (("FUZZ_COUNT", "30"),
                                                                   ("FUZZ_SEED", "0")))
PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "helpers" / "fuzz_files.py"


def test_damaged_files():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                   "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(PROGRAM), COUNT, SEED], capture_output=True,
                          text=True, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert done.stdout.count(f": {COUNT} files, ") == 12


@pytest.fixture
def little_memory():
    """Less address space than this machine has, so that a greedy allocation fails here."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


TOKENS = st.sampled_from(
    ['layer', 'name', 'type', 'top', 'bottom', '{', '}', '<', '>', ':', '"x"', "'Input'", '"ReLU"',
     '-1', '0', '3', '1e9', 'nan', 'TRAIN', 'phase', 'include', 'input_param', 'shape', 'dim', '[',
     ']', ',', ';', '\n', '#', '"', 'layers', 'input', 'input_dim', 'é', '\x00'])


@settings(max_examples=200, deadline=None)
@given(words=st.lists(TOKENS, max_size=30))
def test_words_in_any_order(words):
    for read in (prototxt.read_net_text, prototxt.read_solver_text):
        try:
            read(" ".join(words), origin="here")
        except CaffeError as error:
            assert str(error).startswith("here") and "\n" not in str(error)


@pytest.mark.parametrize("layer, says", [
    ('type: "InnerProduct" inner_product_param { num_output: 4294967295 }', "failed with bottoms"),
    ('type: "Convolution" convolution_param { num_output: 2 kernel_size: 4294967295 }',
     "failed with bottoms"),
    ('type: "Embed" embed_param { num_output: 2147483647 input_dim: 2147483647 }',
     "failed with bottoms"),
    ('type: "Tile" tile_param { tiles: 2147483647 axis: 1 }', "does not fit bottoms"),
])
def test_sizes_that_no_memory_holds(little_memory, layer, says):
    text = ('layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1000000 '
            'dim: 1000000 dim: 1 dim: 1 } } }\n'
            f'layer {{ name: "it" bottom: "data" top: "it" {layer} }}')
    message = prototxt.read_net_text(text)
    with pytest.raises(LayerError, match=f'layer "it".*{says}'):
        caffe.Net(message, caffe.TEST)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_lrn_with_a_window_larger_than_the_bottom(little_memory, region, rng):
    x = rng.standard_normal((1, 3, 4, 5)).astype(np.float32)
    tops = []
    for size, alpha in ((9, 0.9), (2147483647, None)):
        share = {"ACROSS_CHANNELS": 1, "WITHIN_CHANNEL": 2}[region]
        alpha = alpha or 0.9 * (size / 9) ** share      # the same weight for every value
        net = caffe.Net(prototxt.read_net_text(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 '
            'dim: 5 } } } layer { name: "n" type: "LRN" bottom: "x" top: "n" lrn_param { '
            f"local_size: {size} alpha: {alpha:.9g} norm_region: {region} }} }}"), caffe.TEST)
        net.blobs["x"].data[...] = x
        tops.append(net.forward()["n"].copy())
    np.testing.assert_allclose(tops[1], tops[0], rtol=1e-5)
    assert np.abs(tops[0] - x).max() > 0.1


def test_state_with_a_hole_in_its_history(tmp_path):
    weights.write_state(tmp_path / "s.h5", 7, "w", 0, [np.ones(2)] * 3)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        del file["history/1"]
    with pytest.raises(WeightsError, match="between /history/0 and /history/2 is missing"):
        weights.read_state(tmp_path / "s.h5")


def test_name_that_is_not_utf8(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("data").create_group(b"\xff\xfe")
    with pytest.raises(WeightsError, match="name is not UTF-8"):
        weights.read_weights(tmp_path / "w.h5")


@pytest.mark.parametrize("content", [b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",   # iter: -1
                                     b"\x08\x01\x20\x80\x80\x80\x80\x80\x01"])     # a huge step
def test_impossible_iterations(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(WeightsError, match="is impossible; the file is damaged"):
        weights.read_state(tmp_path / "s")


def test_damaged_blobproto_vector():
    with pytest.raises(CaffeError, match="not a serialized BlobProtoVector"):
        io.blobprotovector_str_to_arraylist(b"\x0a\xff")
