"""Plays recorded programs of Caffe 1.0 (tests/golden/caffe) through the pycaffe interface.

A case has a description `meta` (files, steps) and the arrays that the steps name. A `Program`
carries out one step after the other; a step that checks raises AssertionError.
"""
import golden
import numpy as np

import caffe
from caffe import io
from caffe.proto import caffe_pb2

RTOL, ATOL = 2e-4, 2e-5     # where a step gives none


class Program:
    """One case: `meta`, its `arrays`, and the nets and solvers that its steps have made."""

    def __init__(self, case: str):
        self.meta, self.arrays = golden.read_case(case)
        self.nets, self.solvers = {}, {}
        self.answer, self.loss, self.log = {}, None, []

    def write_files(self, folder):
        """Lays out the files that prototxts and steps name."""
        for name, content in self.meta.get("files", {}).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if "text" in content:
                target.write_text(content["text"], encoding="utf-8")
            else:
                target.write_bytes(self.arrays[content["array"]].tobytes())

    def play(self, step):
        """Carries out one step."""
        getattr(self, f"do_{step['op']}")(step)

    # ------------------------------------------------------------------------------ who is meant

    def net(self, step):
        name = step.get("net", "net")
        if name in self.nets:
            return self.nets[name]
        owner, part = name.split(".")
        solver = self.solvers[owner]
        return solver.net if part == "net" else solver.test_nets[int(part.removeprefix("test"))]

    def solver(self, step):
        return self.solvers[step.get("solver", "solver")]

    def blob(self, step):
        net = self.net(step)
        if "layer" in step:
            return net.params[step["layer"]][step.get("index", 0)]
        return net.blobs[step["blob"]]

    def fed(self, step):
        """The keyword arguments of a pass."""
        options = {key: step[key] for key in ("start", "end", "blobs", "diffs") if key in step}
        return options | {name: self.arrays[key] for name, key in step.get("feed", {}).items()}

    # ------------------------------------------------------------------------------------- doing

    def do_net(self, step):
        phase = getattr(caffe, step.get("phase", "TEST"))
        if step.get("legacy"):
            net = caffe.Net(step["file"], step["weights"], phase)
        else:
            options = {key: step[key] for key in ("level", "stages", "weights") if step.get(key)}
            net = caffe.Net(step["file"], phase, **options)
        self.nets[step.get("as", "net")] = net

    def do_solver(self, step):
        make = getattr(caffe, step.get("maker", "get_solver"))
        self.solvers[step.get("as", "solver")] = make(step["file"])

    def do_set(self, step):
        blob = self.blob(step)
        target = blob.diff if step["what"].endswith("diff") else blob.data
        assert target.shape == self.arrays[step["array"]].shape
        target[...] = self.arrays[step["array"]]

    def do_set_input_arrays(self, step):
        self.net(step).set_input_arrays(self.arrays[step["data"]], self.arrays[step["labels"]])

    def do_drop(self, step):
        del self.nets[step["net"]]

    def do_reshape_blob(self, step):
        self.blob(step).reshape(*step["shape"])

    def do_reshape(self, step):
        self.net(step).reshape()

    def do_forward(self, step):
        self.answer = self.net(step).forward(**self.fed(step))

    def do_forward_all(self, step):
        self.answer = self.net(step).forward_all(**self.fed(step))

    def do_backward(self, step):
        self.answer = self.net(step).backward(**self.fed(step))

    def do_forward_loss(self, step):
        net = self.net(step)
        self.loss = net._forward(0, len(net.layers) - 1)

    def do_clear_param_diffs(self, step):
        self.net(step).clear_param_diffs()

    def do_watch(self, step):
        """Later callbacks and those of an earlier watch all write to the newest log."""
        self.log = []
        if "solver" in step:
            self.solver(step).add_callback(lambda: self.log.append(["start"]),
                                           lambda: self.log.append(["ready"]))
            return
        for moment in ("before_forward", "after_forward", "before_backward", "after_backward"):
            getattr(self.net(step), moment)(lambda i, moment=moment: self.log.append([moment, i]))

    def do_step(self, step):
        self.solver(step).step(step.get("n", 1))

    def do_solve(self, step):
        self.solver(step).solve()

    def do_apply_update(self, step):
        self.solver(step).apply_update()

    def do_snapshot(self, step):
        self.solver(step).snapshot()

    def do_restore(self, step):
        self.solver(step).restore(step["file"])

    def do_seed(self, step):
        caffe.set_random_seed(step["seed"])

    def do_copy_from(self, step):
        self.net(step).copy_from(step["file"])

    def do_load_hdf5(self, step):
        self.net(step).load_hdf5(step["file"])

    def do_save(self, step):
        self.net(step).save(step["file"])

    def do_save_hdf5(self, step):
        self.net(step).save_hdf5(step["file"])

    def do_share_with(self, step):
        self.net(step).share_with(self.nets[step["other"]])

    # ---------------------------------------------------------------------------------- checking

    def do_check(self, step):
        got = np.asarray(self.value(step))
        want = self.arrays[step["array"]]
        assert got.shape == want.shape, f"{step}: shape {got.shape}, recorded {want.shape}"
        np.testing.assert_allclose(got, want, rtol=step.get("rtol", RTOL),
                                   atol=step.get("atol", ATOL), err_msg=str(step))

    def do_expect(self, step):
        assert self.value(step) == step["value"], step

    def do_stats(self, step):
        values = np.asarray(self.value(step), dtype=np.float64)
        sums = values.reshape(len(values), -1).sum(1) if values.ndim else values
        known = {"mean": values.mean(), "std": values.std(), "min": values.min(),
                 "max": values.max(), "zeros": (values == 0).mean(), "row_sum_min": sums.min(),
                 "row_sum_max": sums.max(), "distinct": len(np.unique(values))}
        for name, (want, slack) in step["stats"].items():
            assert abs(known[name] - want) <= slack, f"{step}: {name} is {known[name]}"

    def do_ratio(self, step):
        values = np.asarray(self.value(step), dtype=np.float64)
        kept = step["scale"] * self.arrays[step["reference"]].astype(np.float64)
        assert (np.isclose(values, kept, rtol=1e-4, atol=1e-5) | (values == 0)).all(), step
        assert abs((values == 0).mean() - step["rate"]) <= step["slack"], step

    def do_same_zeros(self, step):
        net = self.net(step)
        np.testing.assert_array_equal(net.blobs[step["a"]].data == 0,
                                      net.blobs[step["b"]].diff == 0)

    def do_same(self, step):
        first, second = (self.blob(step | {"net": name}).data for name in step["nets"])
        assert np.array_equal(first, second) == step["equal"], step

    # ------------------------------------------------------------------------------------ values

    def value(self, step):
        """What a checking step looks at, by the word in `what`."""
        what = step["what"]
        if what in _OF_BLOB:
            return _OF_BLOB[what](self.blob(step))
        if what in _OF_NET:
            return _OF_NET[what](self.net(step))
        if what in _OF_SOLVER:
            return _OF_SOLVER[what](self.solver(step))
        if what in _OF_FILE:
            return _OF_FILE[what](step)
        if what == "transformed":
            return self.transformed(step)
        return {"returned": lambda: self.answer[step["key"]], "loss": lambda: np.float32(self.loss),
                "returned_keys": lambda: sorted(self.answer), "log": lambda: self.log}[what]()

    def transformed(self, step):
        transformer = io.Transformer({"data": tuple(step["shape"])})
        for name in ("transpose", "mean", "raw_scale", "channel_swap", "input_scale"):
            if name in step:
                value = self.arrays[step[name]] if name == "mean" else step[name]
                getattr(transformer, f"set_{name}")("data", value)
        result = transformer.preprocess("data", self.arrays[step["image"]])
        return transformer.deprocess("data", result) if step.get("and_back") else result


def _message(name, path):
    with open(path, "rb") as file:
        return getattr(caffe_pb2, name).FromString(file.read())


def _array(blob):
    legacy = any(blob.HasField(axis) for axis in ("num", "channels", "height", "width"))
    shape = ((blob.num, blob.channels, blob.height, blob.width) if legacy
             else tuple(blob.shape.dim))
    return np.array(blob.double_data or blob.data, np.float32).reshape(shape)


def _state(step):
    state = _message("SolverState", step["file"])
    return {"iter": state.iter, "current_step": state.current_step,
            "learned_net": state.learned_net, "history": len(state.history)}


def _saved_blob(step):
    layers = {layer.name: layer for layer in _message("NetParameter", step["file"]).layer}
    return _array(layers[step["layer"]].blobs[step.get("index", 0)])


def _saved_layers(step):
    return [[layer.name, layer.type, [list(blob.shape.dim) for blob in layer.blobs]]
            for layer in _message("NetParameter", step["file"]).layer]


_OF_BLOB = {
    "data": lambda blob: blob.data, "param": lambda blob: blob.data,
    "diff": lambda blob: blob.diff, "param_diff": lambda blob: blob.diff,
    "dtype": lambda blob: str(blob.data.dtype),
    "blob_attrs": lambda blob: [blob.num, blob.channels, blob.height, blob.width, blob.count],
}
_OF_NET = {
    "layer_names": lambda net: list(net._layer_names),
    "layer_types": lambda net: [layer.type for layer in net.layers],
    "blob_names": lambda net: list(net.blobs),
    "param_names": lambda net: list(net.params),
    "inputs": lambda net: list(net.inputs),
    "outputs": lambda net: list(net.outputs),
    "top_names": lambda net: [[name, list(tops)] for name, tops in net.top_names.items()],
    "bottom_names": lambda net: [[name, list(bots)] for name, bots in net.bottom_names.items()],
    "blob_shapes": lambda net: {name: list(blob.shape) for name, blob in net.blobs.items()},
    "param_shapes": lambda net: {name: [list(blob.shape) for blob in blobs]
                                 for name, blobs in net.params.items()},
    "loss_weights": lambda net: dict(net.blob_loss_weights),
}
_OF_SOLVER = {
    "iter": lambda solver: solver.iter, "lr": lambda solver: np.float32(solver.lr),
    "num_test_nets": lambda solver: len(solver.test_nets),
}
_OF_FILE = {
    "history": lambda step: _array(_message("SolverState", step["file"]).history[step["index"]]),
    "state": _state, "saved_layers": _saved_layers, "saved_blob": _saved_blob,
    "binaryproto": lambda step: _array(_message("BlobProto", step["file"])),
    "io_array": lambda step: io.blobproto_to_array(_message("BlobProto", step["file"])),
    "file_exists": lambda step: _exists(step["file"]),
}


def _exists(path):
    try:
        with open(path, "rb"):
            return True
    except FileNotFoundError:
        return False
