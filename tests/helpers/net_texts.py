"""Prototxts of small nets for the tests of nets and solvers."""
import caffe


def input_layer(name, *dims):
    """An Input layer whose top has its name."""
    shape = " ".join(f"dim: {d}" for d in dims)
    return layer(name, "Input", "", None, f"input_param {{ shape {{ {shape} }} }}")


def layer(name, type_name, bottoms, tops=None, rest=""):
    """A layer; bottoms and tops are words in one string, the top is the name by default."""
    bottoms = " ".join(f'bottom: "{blob}"' for blob in bottoms.split())
    tops = " ".join(f'top: "{blob}"' for blob in (name if tops is None else tops).split())
    return f'layer {{ name: "{name}" type: "{type_name}" {bottoms} {tops} {rest} }}\n'


def fc(name, bottom, outputs, rest=""):
    """An InnerProduct layer with random weights."""
    return layer(name, "InnerProduct", bottom, None,
                 f"inner_product_param {{ num_output: {outputs} "
                 f'weight_filler {{ type: "gaussian" std: 1 }} }} {rest}')


def conv(name, bottom, outputs, rest=""):
    """A Convolution layer, 3 x 3, with random weights."""
    return layer(name, "Convolution", bottom, None,
                 f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 "
                 f'weight_filler {{ type: "gaussian" std: 0.5 }} }} {rest}')


def net(*texts, phase=caffe.TRAIN, **options):
    """The net of these texts."""
    return caffe.Net(caffe.prototxt.read_net_text("".join(texts)), phase, **options)


REGRESSION = (input_layer("data", 4, 3) + input_layer("target", 4, 2) + fc("hidden", "data", 5)
              + layer("tanh", "TanH", "hidden", "hidden") + fc("out", "hidden", 2)
              + layer("loss", "EuclideanLoss", "out target"))

# In the older style, with inputs instead of Input layers
CLASSIFIER = (
    'name: "small" input: "data" input_dim: 10 input_dim: 3 input_dim: 12 input_dim: 12 '
    + conv("conv1", "data", 6) + layer("relu1", "ReLU", "conv1", "conv1")
    + layer("pool1", "Pooling", "conv1", None, "pooling_param { kernel_size: 2 stride: 2 }")
    + conv("conv2", "pool1", 8) + layer("relu2", "ReLU", "conv2", "conv2")
    + fc("fc6", "conv2", 9) + layer("relu6", "ReLU", "fc6", "fc6") + fc("fc7", "fc6", 7)
    + layer("prob", "Softmax", "fc7"))
