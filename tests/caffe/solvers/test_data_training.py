"""Nets that learn from databases through a solver, with a test net on another one."""
import data_files
import numpy as np
import pytest
from net_texts import layer

import caffe
from caffe.files import databases
from caffe.proto import caffe_pb2

LENET = """
name: "LeNet"
layer {{ name: "digits" type: "Data" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ scale: 0.00390625 mirror: true crop_size: 12 }}
  data_param {{ source: "{train}" batch_size: 16 backend: LMDB }} }}
layer {{ name: "digits" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  transform_param {{ scale: 0.00390625 crop_size: 12 }}
  data_param {{ source: "{test}" batch_size: 10 backend: LMDB }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param {{ lr_mult: 1 }}
  param {{ lr_mult: 2 }} convolution_param {{ num_output: 4 kernel_size: 3
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "accuracy" type: "Accuracy" bottom: "ip1" bottom: "label" top: "accuracy"
  include {{ phase: TEST }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip1" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "{net}" test_iter: 3 test_interval: 1000 base_lr: {rate} momentum: 0.9 lr_policy: "fixed"
max_iter: 60 snapshot_after_train: false random_seed: 7
"""


def stripes(count, seed):
    """Images (14, 14, 1) of horizontal, vertical and no stripes, and their labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    wave = 90 * np.sin(np.arange(14) * np.pi / 2)[:, None] + np.zeros((14, 14))
    images = [128 + [wave, wave.T, 0 * wave][label] + rng.normal(0, 15, (14, 14))
              for label in labels]
    return [image.clip(0, 255).astype(np.uint8)[:, :, None] for image in images], labels


def solver_for(folder, net, rate):
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(SOLVER.format(net=folder / "net.prototxt", rate=rate))
    return caffe.SGDSolver(str(folder / "solver.prototxt"))


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """The text of a net with its databases."""
    folder = tmp_path_factory.mktemp("stripes")
    sources = {name: data_files.write_database(folder / name, *stripes(count, seed))
               for name, count, seed in (("train", 50, 0), ("test", 30, 1))}
    return LENET.format(**sources)


def test_a_small_lenet_learns_and_is_tested(tmp_path, lenet):
    solver = solver_for(tmp_path, lenet, 0.05)
    before = solver.test(0)["accuracy"]
    solver.step(60)
    after = solver.test(0)["accuracy"]
    assert before < 0.7 and after > 0.95
    labels = stripes(30, 1)[1]
    np.testing.assert_array_equal(solver.test_nets[0].blobs["label"].data, labels[20:])


def test_the_seed_of_the_solver_repeats_a_training(tmp_path, lenet):
    runs = []
    for _ in range(2):
        solver = solver_for(tmp_path, lenet, 0.05)
        solver.step(5)
        runs.append(solver.net.params["conv1"][0].data.copy())
    np.testing.assert_array_equal(*runs)


def branch(suffix):
    shared = 'param {{ name: "{0}_w" }} param {{ name: "{0}_b" }}'
    return (layer("ip1" + suffix, "InnerProduct", "data" + suffix, None, shared.format("ip1")
                  + " inner_product_param { num_output: 8 weight_filler { type: 'xavier' } }")
            + layer("relu" + suffix, "ReLU", "ip1" + suffix, "ip1" + suffix)
            + layer("feat" + suffix, "InnerProduct", "ip1" + suffix, None, shared.format("feat")
                    + " inner_product_param { num_output: 2 weight_filler { type: 'xavier' } }"))


def write_pairs(path, count, seed):
    """Datums of two channels, an image each; the label says whether they are of one kind."""
    images, kinds = stripes(2 * count, seed)
    with databases.new_database(path, "lmdb") as database:
        for i in range(count):
            pair = np.stack([images[2 * i], images[2 * i + 1]])[..., 0]
            datum = caffe_pb2.Datum(channels=2, height=14, width=14, data=pair.tobytes(),
                                    label=int(kinds[2 * i] == kinds[2 * i + 1]))
            database.put(b"%08d" % i, datum.SerializeToString())
    return path


def test_a_siamese_net_pulls_pairs_together(tmp_path):
    source = write_pairs(tmp_path / "pairs", 60, 3)
    data = (f"transform_param {{ scale: 0.01 mean_value: 128 }} data_param {{ source: '{source}' "
            "backend: LMDB batch_size: 20 }")
    solver = solver_for(tmp_path, (
        layer("pairs", "Data", "", "pair sim", data)
        + layer("slice", "Slice", "pair", "data data_p", "slice_param { slice_point: 1 }")
        + branch("") + branch("_p")
        + layer("loss", "ContrastiveLoss", "feat feat_p sim")), 0.05)
    before = solver.test(0)["loss"]
    solver.step(60)
    assert solver.test(0)["loss"] < 0.2 * before
    first, second = (solver.net.params[name][0].data for name in ("ip1", "ip1_p"))
    assert first.shape == (8, 196)
    np.testing.assert_array_equal(first, second)
