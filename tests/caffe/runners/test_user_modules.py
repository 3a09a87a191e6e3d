"""Modules of Python layers: which are imported, from where, and what they say of errors."""
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

import caffe

LAYER = """
import caffe
{above}

class Plus(caffe.Layer):
    {init}
    def setup(self, bottom, top):
        self.k = 1
        {setup}

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        {forward}
        top[0].data[...] = bottom[0].data + self.k

class Other:
    pass
"""
NET = """input: "x" input_shape {{ dim: 1 dim: 2 }}
layer {{ name: "p" type: "Python" bottom: "x" top: "y"
         python_param {{ module: "{module}" layer: "{layer}" param_str: "{param_str}" }} }}
"""
_count = iter(range(1000))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """build(lines of the layer): a net beside whose prototxt lies the module; see LAYER."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    folder = tmp_path / "project"
    folder.mkdir()

    def built(above="", init="", setup="pass", forward="pass", module=None, layer="Plus",
              param_str=""):
        if module is None:
            module = f"users_layers_{next(_count)}"
            (folder / f"{module}.py").write_text(LAYER.format(above=above, init=init, setup=setup,
                                                              forward=forward))
        (folder / "n.prototxt").write_text(NET.format(module=module, layer=layer,
                                                      param_str=param_str))
        return caffe.Net(str(folder / "n.prototxt"), caffe.TEST)

    built.folder = folder
    return built


def output(net):
    net.blobs["x"].data[...] = 5
    return net.forward()["y"].tolist()


def test_a_module_beside_the_prototxt(build, caplog):
    caplog.set_level(logging.INFO)
    net = build()
    assert output(net) == [[6, 6]]
    file = sys.modules[type(net.layers[1]).__module__].__file__
    assert file.startswith(str(build.folder)) and f"from {file}" in caplog.text
    caplog.clear()
    caffe.Net(str(build.folder / "n.prototxt"), caffe.TEST)
    assert "Python layers" not in caplog.text


def test_a_solvers_net_finds_it_too(build):
    build()
    solver = build.folder / "solver.prototxt"
    solver.write_text(f'net: "{build.folder}/n.prototxt" base_lr: 1 lr_policy: "fixed"')
    sys.path.remove(str(build.folder))
    sys.modules.pop(next(name for name in sys.modules if name.startswith("users_layers_")), None)
    assert caffe.SGDSolver(str(solver)).net.layers[1].k == 1


def test_a_package_without_init_and_its_siblings(build):
    (build.folder / "users_folder").mkdir()
    (build.folder / "users_folder" / "inner.py").write_text(LAYER.format(
        above="import users_sibling", init="", setup="self.k = users_sibling.K", forward="pass"))
    (build.folder / "users_sibling.py").write_text("K = 4")
    assert output(build(module="users_folder.inner")) == [[9, 9]]


@pytest.mark.parametrize("module, layer", [
    ("subprocess", "Popen"), ("os", "system"), ("os.path", "join"), ("builtins", "eval"),
    ("sys", "exit"), ("numpy", "ndarray"), ("torch.nn", "Linear"), ("yaml.loader", "Loader")])
def test_the_library_and_installed_packages_are_refused(build, module, layer):
    with pytest.raises(caffe.CaffeError) as caught:
        build(module=module, layer=layer)
    assert "belongs to the standard library or to an installed package" in str(caught.value)
    assert f'allow_layer_module("{module.partition(".")[0]}")' in str(caught.value)


def test_a_module_that_is_refused_is_not_even_imported(build):
    assert "antigravity" not in sys.modules
    with pytest.raises(caffe.CaffeError, match="standard library"):
        build(module="antigravity", layer="x")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("way", ["function", "variable"])
def test_an_installed_package_may_be_allowed(build, monkeypatch, tmp_path, way):
    installed = tmp_path / "lib" / "site-packages"
    installed.mkdir(parents=True)
    name = f"installed_layers_{way}"
    (installed / f"{name}.py").write_text(LAYER.format(above="", init="", setup="pass",
                                                       forward="pass"))
    monkeypatch.syspath_prepend(str(installed))
    with pytest.raises(caffe.CaffeError, match="installed package"):
        build(module=name)
    if way == "function":
        caffe.allow_layer_module(name)
    else:
        monkeypatch.setenv("CAFFE_LAYER_MODULES", f"another, {name}")
    assert output(build(module=name)) == [[6, 6]]


def test_what_is_no_layer_is_not_constructed(build):
    with pytest.raises(caffe.CaffeError, match='"Other" of module .* is not a layer: it must be'):
        build(layer="Other")
    with pytest.raises(caffe.CaffeError, match='"Popen" of module .* is not a layer'):
        build(above="from subprocess import Popen", layer="Popen")


@pytest.mark.parametrize("init", [
    "def __init__(self, p, *args):\n        super(Plus, self).__init__(p, *args)",
    "def __init__(self, *args, **kwargs):\n        super().__init__(*args, **kwargs)",
    "def __init__(self, layer_param):\n        super().__init__(layer_param)",
    "def __init__(self):\n        super().__init__()", "def __init__(self): pass"])
def test_constructors(build, init):
    assert output(build(init=init)) == [[6, 6]]


def test_the_constructor_gets_the_layer_parameter(build):
    net = build(init="def __init__(self, p, *args):\n        self.given = p.python_param.param_str",
                param_str="7")
    assert net.layers[1].given == "7"


@pytest.mark.parametrize("method, says", [
    ("setup", "in setup() of layer"), ("forward", "in forward() of layer"),
    ("above", "while importing")])
def test_errors_say_file_and_line(build, method, says):
    with pytest.raises(ZeroDivisionError) as caught:
        output(build(**{method: "1 / 0"}))
    line = caffe.errors.user_code_line(caught.value)
    file = next(build.folder.glob("users_layers_*.py"))
    number = 1 + file.read_text().splitlines().index(
        {"setup": "        1 / 0", "forward": "        1 / 0", "above": "1 / 0"}[method])
    assert line.startswith(f"{file}:{number}: {says}")
    assert line.endswith("ZeroDivisionError: division by zero") and "\n" not in line


def test_the_command_shows_one_line(build):
    build(forward="raise ValueError('my own')")
    done = subprocess.run(
        [sys.executable, "-m", "caffe", "time", "-model", build.folder / "n.prototxt"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {build.folder}/users_layers_") and "my own" in last


@pytest.mark.parametrize("line", ["print 'x'", "raise ValueError, 'x'", "exec 'x'", "a = 017",
                                  "if 1 <> 2: pass", "try: 1\nexcept ValueError, e: pass",
                                  "a = 5L", "a = `1`", "if 1:\n        a = 1\n\tb = 2"])
def test_python_2_syntax(build, line):
    with pytest.raises(caffe.CaffeError) as caught:
        build(above=line)
    message = str(caught.value)
    assert "\n" not in message and "this is Python 2: convert it with 2to3" in message
    assert f"{next(build.folder.glob('users_layers_*.py'))}:" in message


def test_another_syntax_error(build):
    with pytest.raises(caffe.CaffeError, match=r"users_layers_\d+.py:3: .*: correct the file"):
        build(above="a = (1")


@pytest.mark.parametrize("where, line, says", [
    ("above", "import cPickle", '"cPickle" of Python 2 is pickle in Python 3'),
    ("forward", "list(xrange(3))", '"xrange" of Python 2 is range in Python 3')])
def test_names_of_python_2(build, where, line, says):
    with pytest.raises((ImportError, NameError)) as caught:
        output(build(**{where: line}))
    assert says in caffe.errors.user_code_line(caught.value)


@pytest.mark.parametrize("expression, value", [
    ("np.float(2)", 2.0), ("np.int(2.5)", 2), ("np.zeros(2, dtype=np.object).tolist()", [0, 0]),
    ("np.ones(2, dtype=np.bool).tolist()", [True, True]), ("np.complex(1)", 1 + 0j),
    ("np.Inf", float("inf")), ("np.product([2, 3])", 6), ("np.float_(2)", 2),
    ("np.random.RandomState(0).randint(9)", 5), ("numpy.linalg.norm([3, 4])", 5),
    ("isinstance(np.zeros(1), np.ndarray)", True), ("norm([3, 4])", 5), ("late_float(3)", 3.0),
    ("np.testing is not None", True)])
def test_names_of_older_numpy(build, expression, value):
    late = "def late_float(x):\n    import numpy\n    return numpy.float(x)"
    net = build(above="import numpy as np\nimport numpy.linalg\nfrom numpy.linalg import norm\n"
                f"{late}", setup=f"self.found = {expression}")
    assert net.layers[1].found == value and type(net.layers[1].found) is not np.float16


def test_names_of_older_numpy_while_a_module_is_imported_and_in_what_it_imports(build):
    (build.folder / "users_helper.py").write_text("import numpy as np\nHALF = np.float('.5')")
    net = build(above="import numpy as np\nfrom users_helper import HALF\nTWO = np.int('2')\n"
                "def f(x=np.float(1)): return x", setup="self.k = HALF + TWO + f()")
    assert output(net) == [[8.5, 8.5]]


def test_everybody_else_has_the_numpy_that_is_installed(build):
    build(above="import numpy as np\nnp.float")
    assert not {"float", "int", "object"} & set(vars(np))


def test_a_module_that_was_imported_before(build):
    (build.folder / "users_early.py").write_text(LAYER.format(
        above="import numpy as np", init="", setup="self.k = np.float(3)", forward="pass"))
    sys.path.append(str(build.folder))
    import users_early  # noqa: F401
    assert output(build(module="users_early")) == [[8, 8]]


@pytest.mark.parametrize("load", ["yaml.load(self.param_str_)", "yaml.load(self.param_str)",
                                  "load(self.param_str)", "yaml.safe_load(self.param_str)",
                                  "yaml.load(self.param_str, Loader=yaml.SafeLoader)"])
def test_yaml_without_a_loader(build, load):
    net = build(above="import yaml\nfrom yaml import load", setup=f"self.k = {load}['k']",
                param_str="'k': 2")
    assert output(net) == [[7, 7]]


def test_yaml_reads_tuples_and_executes_nothing(build):
    net = build(above="import yaml", setup="self.found = yaml.load(self.param_str)",
                param_str="a: !!python/tuple [1, 2]\\nb: !!python/unicode c")
    assert net.layers[1].found == {"a": (1, 2), "b": "c"}
    with pytest.raises(Exception, match="could not determine a constructor"):
        build(above="import yaml", setup="yaml.load(self.param_str)",
              param_str="!!python/object/apply:os.system [true]")
