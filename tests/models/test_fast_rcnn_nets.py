"""The nets and solvers of Fast R-CNN on given proposals, and the paper's variants."""
import pytest
from test_generated import FROZEN, NETS, build_file, learning

from caffe.files import prototxt
from faster_rcnn.networks.store import find
from faster_rcnn.settings.config import cfg

VARIANT_NETS = ("VGG16", "VGG_CNN_M_1024", "CaffeNet", "Tiny")
CAFFENET = {"conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3),
            "conv4": (384, 192, 3, 3), "conv5": (256, 192, 3, 3), "fc6": (4096, 9216),
            "fc7": (4096, 4096), "cls_score": (21, 4096), "bbox_pred": (84, 4096)}
STILL = (0, 0, 0, 0)


def path_of(net, name, data_set="pascal_voc", method="fast_rcnn"):
    return find(f"models/{data_set}/{net}/{method}/{name}", cfg.ROOT_DIR)


def layers(net, name, **place):
    """Layer name -> message, in net order."""
    return {layer.name: layer for layer in prototxt.read_net(path_of(net, name, **place)).layer}


def in_net_order(found):
    return [(name, layer.SerializeToString()) for name, layer in found.items()]


@pytest.mark.parametrize("net", NETS)
def test_training_net_is_that_of_the_alternating_schedule_without_the_rpn(net):
    whole = layers(net, "stage1_fast_rcnn_train.pt", method="faster_rcnn_alt_opt")
    rpn = {name for name in whole if name.startswith(("rpn", "silence"))}
    assert len(rpn) == 6
    expected = {name: layer for name, layer in whole.items() if name not in rpn}
    assert in_net_order(layers(net, "train.prototxt")) == in_net_order(expected)


@pytest.mark.parametrize("net", (*NETS, "CaffeNet"))
def test_test_net_takes_rois(net):
    message = prototxt.read_net(path_of(net, "test.prototxt"))
    inputs = {top: list(shape.dim) for layer in message.layer if layer.type == "Input"
              for top, shape in zip(layer.top, layer.input_param.shape)}
    assert inputs == {"data": [1, 3, 224, 224], "rois": [1, 5]}
    train = learning(prototxt.read_net(path_of(net, "train.prototxt")))
    with_parameters = {layer.name for layer in message.layer
                       if layer.type in ("Convolution", "InnerProduct")}
    assert with_parameters == set(train)
    assert message.layer[-1].name == "cls_prob"


@pytest.mark.parametrize("net,frozen", (*FROZEN.items(), ("CaffeNet", {"conv1"})))
def test_what_is_frozen(net, frozen):
    rates = learning(prototxt.read_net(path_of(net, "train.prototxt")))
    assert {name for name, rate in rates.items() if rate == STILL} == frozen
    assert {rate for rate in rates.values()} - {STILL} == {(1, 2, 1, 1)}


def test_caffenet_has_the_published_parameters():
    net = build_file(path_of("CaffeNet", "test.prototxt"), has_rpn=False)
    assert {name: tuple(blobs[0].data.shape) for name, blobs in net.params.items()} == CAFFENET
    # padded so that features lie 16 pixels apart: 224 / 16, and the border
    assert net.blobs["conv5"].data.shape == (1, 256, 15, 15)
    norm = layers("CaffeNet", "train.prototxt")["norm1"].lrn_param
    assert (norm.local_size, norm.alpha, norm.beta) == pytest.approx((5, 1e-4, 0.75))


@pytest.mark.parametrize("data_set,iterations,stepsize,nets", (
    ("pascal_voc", 40000, 30000, ("ZF", "VGG_CNN_M_1024", "VGG16", "CaffeNet")),
    ("coco", 280000, 200000, ("VGG_CNN_M_1024", "VGG16"))))
def test_published_solver_numbers(data_set, iterations, stepsize, nets):
    for net in nets:
        solver = prototxt.read_solver(path_of(net, "solver.prototxt", data_set=data_set))
        assert solver.train_net == f"models/{data_set}/{net}/fast_rcnn/train.prototxt"
        assert (solver.stepsize, solver.max_iter) == (stepsize, iterations)
        assert (solver.display, solver.average_loss, solver.snapshot) == (20, 100, 0)
        assert solver.lr_policy == "step"
        assert solver.snapshot_prefix == f"{net.lower()}_fast_rcnn"
        rates = (solver.base_lr, solver.gamma, solver.momentum, solver.weight_decay)
        assert rates == pytest.approx((0.001, 0.1, 0.9, 0.0005))


@pytest.mark.parametrize("net", ("VGG_CNN_M_1024", "VGG16"))
def test_nets_of_coco(net):
    train, test = (layers(net, f"{name}.prototxt", data_set="coco") for name in ("train", "test"))
    for found in (train, test):
        assert found["cls_score"].inner_product_param.num_output == 81
        assert found["bbox_pred"].inner_product_param.num_output == 324
        assert not any(layer.type == "Dropout" for layer in found.values())
    assert train["data"].python_param.param_str == "'num_classes': 81"


# --------------------------------------------------------------------------------------- variants

@pytest.mark.parametrize("net", VARIANT_NETS)
def test_no_bbox_reg_has_no_boxes(net):
    whole, found = layers(net, "train.prototxt"), layers(net, "no_bbox_reg/train.prototxt")
    assert set(whole) - set(found) == {"bbox_pred", "loss_bbox"}
    assert list(found["data"].top) == ["data", "rois", "labels"]
    tested = layers(net, "no_bbox_reg/test.prototxt")
    assert set(layers(net, "test.prototxt")) - set(tested) == {"bbox_pred"}


@pytest.mark.parametrize("net", VARIANT_NETS)
def test_piecewise_trains_the_box_regressor_alone(net):
    found = prototxt.read_net(path_of(net, "piecewise/train.prototxt"))
    rates = learning(found)
    assert {name: rate for name, rate in rates.items() if rate != STILL} == {
        "bbox_pred": (1, 2, 1, 1)}
    losses = {layer.name: list(layer.loss_weight) for layer in found.layer if layer.loss_weight}
    assert losses == {"loss_cls": [0], "loss_bbox": [1]}


@pytest.mark.parametrize("net", VARIANT_NETS)
def test_fc_only_trains_no_convolution(net):
    found = prototxt.read_net(path_of(net, "fc_only/train.prototxt"))
    learned = {name for name, rate in learning(found).items() if rate != STILL}
    assert learned == {"fc6", "fc7", "cls_score", "bbox_pred"}


@pytest.mark.parametrize("net", VARIANT_NETS)
def test_solvers_of_the_variants_differ_by_their_net(net):
    plain = prototxt.read_solver(path_of(net, "solver.prototxt"))
    for variant in ("no_bbox_reg", "piecewise", "fc_only"):
        solver = prototxt.read_solver(path_of(net, f"{variant}/solver.prototxt"))
        assert solver.train_net == f"models/pascal_voc/{net}/fast_rcnn/{variant}/train.prototxt"
        solver.train_net = plain.train_net
        assert solver == plain


@pytest.mark.parametrize("net,ranks", (("VGG16", (1024, 256)), ("VGG_CNN_M_1024", (1024, 256)),
                                       ("CaffeNet", (1024, 256)), ("Tiny", (64, 32))))
def test_compressed_layers_are_pairs(net, ranks):
    plain, found = layers(net, "test.prototxt"), layers(net, "compressed/test.prototxt")
    for name, rank in zip(("fc6", "fc7"), ranks):
        lower, upper = found.pop(name + "_L"), found.pop(name + "_U")
        assert lower.inner_product_param.num_output == rank
        assert not lower.inner_product_param.bias_term
        assert upper.inner_product_param == plain.pop(name).inner_product_param
        assert list(upper.bottom) == list(lower.top) == [name + "_L"]
    assert list(found) == list(plain)
    assert list(found["cls_score"].bottom) == list(found["bbox_pred"].bottom) == ["fc7_U"]


def test_compressed_net_builds():
    net = build_file(path_of("Tiny", "compressed/test.prototxt"), has_rpn=False)
    assert list(net.params)[6:10] == ["fc6_L", "fc6_U", "fc7_L", "fc7_U"]
    assert net.params["fc6_U"][0].data.shape == (128, 64) and len(net.params["fc6_L"]) == 1
