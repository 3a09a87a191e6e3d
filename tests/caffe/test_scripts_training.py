"""Other people's pycaffe scripts run as they are: notebooks that train, and their data layers.

Each test is written as its users write.
"""
import numpy as np
import pytest
import yaml
from net_texts import fc, input_layer, layer

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

pytestmark = pytest.mark.usefixtures("seeds")


class RandomDigits(caffe.Layer):
    """A data layer as users write them: param_str, batches in forward, nothing in backward."""

    def setup(self, bottom, top):
        params = yaml.safe_load(self.param_str)
        self.batch_size, self.split = params["batch_size"], params["split"]
        if len(bottom):
            raise Exception("a data layer has no bottoms")
        self.random = np.random.RandomState(params.get("seed", 1))
        top[0].reshape(self.batch_size, 1, 8, 8)
        top[1].reshape(self.batch_size)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        for i in range(self.batch_size):
            label = self.random.randint(4)
            image = self.random.rand(1, 8, 8) * 0.3
            y, x = divmod(label, 2)
            image[0, 4 * y:4 * y + 4, 4 * x:4 * x + 4] += 0.7
            top[0].data[i, ...] = image
            top[1].data[i] = label

    def backward(self, top, propagate_down, bottom):
        pass


def lenet(batch_size, split):
    n = caffe.NetSpec()
    n.data, n.label = L.Python(module="test_scripts_training", layer="RandomDigits", ntop=2,
                               param_str=str(dict(batch_size=batch_size, split=split)))
    n.conv1 = L.Convolution(n.data, kernel_size=3, num_output=4, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool1, num_output=16, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=4, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


@pytest.fixture
def lenet_solver(tmp_path):
    s = caffe_pb2.SolverParameter()
    for name in ("train", "test"):
        (tmp_path / f"{name}.prototxt").write_text(str(lenet(32, name)))
    s.train_net = str(tmp_path / "train.prototxt")
    s.test_net.append(str(tmp_path / "test.prototxt"))
    s.test_interval = 500
    s.test_iter.append(100)
    s.max_iter = 100
    s.type = "SGD"
    s.base_lr, s.momentum, s.weight_decay = 0.05, 0.9, 5e-4
    s.lr_policy, s.gamma, s.power = "inv", 0.0001, 0.75
    s.snapshot_prefix = str(tmp_path / "lenet")
    s.solver_mode = caffe_pb2.SolverParameter.CPU
    s.test_initialization = False
    (tmp_path / "solver.prototxt").write_text(str(s))
    return str(tmp_path / "solver.prototxt")


def test_learning_lenet_notebook(lenet_solver):
    solver = caffe.SGDSolver(lenet_solver)
    assert [(k, v.data.shape) for k, v in solver.net.blobs.items()][0] == ("data", (32, 1, 8, 8))
    assert [(k, v[0].data.shape) for k, v in solver.net.params.items()] == [
        ("conv1", (4, 1, 3, 3)), ("fc1", (16, 36)), ("score", (4, 16))]
    first = solver.net.forward()
    assert first["loss"].shape == () and 0.5 < first["loss"] < 3
    assert set(solver.test_nets[0].forward()) == {"loss"}
    assert solver.net.blobs["data"].data[:8, 0].transpose(1, 0, 2).reshape(8, 8 * 8).max() <= 1
    solver.step(1)
    gradients = solver.net.params["conv1"][0].diff[:, 0]
    assert gradients.reshape(2, 2, 3, 3).transpose(0, 2, 1, 3).shape == (2, 3, 2, 3)
    assert np.abs(gradients).max() > 0

    niter, test_interval = 60, 20
    train_loss = np.zeros(niter)
    test_acc = np.zeros(int(np.ceil(niter / test_interval)))
    output = np.zeros((niter, 8, 4))
    for it in range(niter):
        solver.step(1)
        train_loss[it] = solver.net.blobs["loss"].data
        solver.test_nets[0].share_with(solver.net)
        if it == 0:
            solver.test_nets[0].forward()
        solver.test_nets[0].forward(start="conv1")      # the same batch again
        output[it] = solver.test_nets[0].blobs["score"].data[:8]
        if it % test_interval == 0:
            correct = 0
            for _ in range(4):
                solver.test_nets[0].forward()
                correct += sum(solver.test_nets[0].blobs["score"].data.argmax(1)
                               == solver.test_nets[0].blobs["label"].data)
            test_acc[it // test_interval] = correct / (4 * 32)
    assert train_loss[-10:].mean() < 0.3 * train_loss[:3].mean()
    assert test_acc[-1] > 0.9


def test_solvers_as_scripts_use_them(lenet_solver, tmp_path):
    solver = caffe.get_solver(lenet_solver)
    assert isinstance(solver, caffe.SGDSolver) and solver.iter == 0
    assert solver.lr == pytest.approx(0.05) and solver.param.max_iter == 100
    events = []
    solver.add_callback(lambda: events.append("start"), lambda: events.append("ready"))
    solver.step(2)
    assert events == ["start", "ready"] * 2
    # an update made by hand
    solver.net.clear_param_diffs()
    before = solver.net.params["score"][1].data.copy()
    solver.net.forward()
    solver.net.backward()
    solver.apply_update()
    assert (solver.net.params["score"][1].data != before).any() and solver.iter == 2 + 1
    test_net = solver.test_nets[0]
    solver.share_weights(test_net)
    solver.net.params["fc1"][0].data[0, 0] = 7
    assert test_net.params["fc1"][0].data[0, 0] == 7
    solver.snapshot()
    again = caffe.SGDSolver(lenet_solver)
    again.restore(str(tmp_path / "lenet_iter_3.solverstate"))
    assert again.iter == 3 and again.net.params["fc1"][0].data[0, 0] == 7
    net = again.net
    del solver, again       # nets outlive their solvers
    assert np.isfinite(net.forward()["loss"])


def test_siamese_notebook(saved):
    """Two branches with shared weights; a deploy net of one branch takes them from the file."""
    def shared(text, name):
        for kind in "wb":
            text = text.replace(" }\n", f' param {{ name: "{name}_{kind}" }} }}\n')
        return text

    both = input_layer("pair_data", 4, 2, 6, 6) + input_layer("sim", 4) + layer(
        "slice", "Slice", "pair_data", "data data_p", "slice_param { slice_dim: 1 slice_point: 1 }")
    for suffix in ("", "_p"):
        both += shared(fc(f"ip1{suffix}", f"data{suffix}", 5), "ip1")
        both += layer(f"relu1{suffix}", "ReLU", f"ip1{suffix}", f"ip1{suffix}")
        both += shared(fc(f"feat{suffix}", f"ip1{suffix}", 2), "feat")
    both += layer("loss", "ContrastiveLoss", "feat feat_p sim")
    model, weights = saved(both, "siamese")
    net = caffe.Net(model, weights, caffe.TRAIN)
    assert net.params["ip1"][0].data is not None
    net.params["ip1_p"][0].data[0] = 3
    assert (net.params["ip1"][0].data[0] == 3).all()
    net.save(weights)
    single, _ = saved(input_layer("data", 4, 1, 6, 6) + fc("ip1", "data", 5)
                      + layer("relu1", "ReLU", "ip1", "ip1") + fc("feat", "ip1", 2), "single")
    deploy = caffe.Net(single, weights, caffe.TEST)
    raw_data = np.random.rand(11, 1, 6, 6).astype(np.float32)
    caffe_in = raw_data.reshape(11, 1, 6, 6) * 0.00390625
    feat = deploy.forward_all(data=caffe_in)["feat"]
    assert feat.shape == (11, 2)
    net.blobs["pair_data"].data[:, 0] = net.blobs["pair_data"].data[:, 1] = caffe_in[:4, 0]
    net.blobs["sim"].data[...] = 1
    assert net.forward()["loss"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(net.blobs["feat"].data, feat[:4], rtol=1e-4)
