"""Generated nets come out right the first time, for any class count and any anchors."""
import pytest

from caffe.files import prototxt
from faster_rcnn.anchors.options import USUAL_RATIOS, USUAL_SCALES, AnchorOptions
from faster_rcnn.files import safe_yaml
from faster_rcnn.networks.backbones.layers import CommentedNet
from faster_rcnn.networks.catalogue import folder_of, folders, is_file, moved_to, text_of
from faster_rcnn.prototxts.anchor_layers import anchor_layers
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import ConfigValueError

# Class count and anchors; ResNet-101 differs from ResNet-50 by its units alone
DATA = [(21, AnchorOptions()), (2, AnchorOptions()), (5, AnchorOptions((2, 4.5), base_size=8)),
        (121, AnchorOptions((4, 8, 16, 32), (0.33, 1, 3, 0.5), 12))]
USUAL = AnchorOptions(USUAL_SCALES, USUAL_RATIOS)
FOLDERS = [name for name in folders() if "ResNet-101" not in name and "imagenet" not in name]


def with_parsed_params(net):
    """The net, and what its layers state in YAML, whose text may differ."""
    params = {}
    for layer in net.layer:
        if layer.type == "Python":
            params[layer.name] = safe_yaml.load(layer.python_param.param_str)
            layer.python_param.param_str = ""
    return net, params


@pytest.mark.parametrize("classes,anchors", DATA)
@pytest.mark.parametrize("name", FOLDERS)
def test_a_net_for_a_data_set_is_the_usual_one_adapted(name, classes, anchors):
    plain, made = folders()[name].files(), folders()[name].files(classes, anchors)
    assert list(made) == list(plain)
    for file, make in made.items():
        content = make()
        if isinstance(content, str):
            assert content == plain[file]()
            continue
        usual = plain[file]().message
        wanted = NetOptions(classes, anchors)
        if anchors.stated() and not anchor_layers(usual):
            # nets that only carry the RPN do not say which anchors it has: both numbers are needed
            own = folders()[name].backbone.anchors
            wanted = NetOptions(classes, anchors.or_else(own).or_else(USUAL))
        changed, sentences = change_net(usual, wanted, file)
        assert sentences or classes == 21 or "rpn_test" in file
        assert with_parsed_params(content.message) == with_parsed_params(changed), file


def test_agnostic_nets_keep_their_boxes():
    made = folders()["pascal_voc/ResNet-50/rfcn_end2end"].files(2)["train_agnostic.prototxt"]()
    layers = {layer.name: layer for layer in made.message.layer}
    assert layers["rfcn_cls"].convolution_param.num_output == 2 * 49
    assert layers["rfcn_bbox"].convolution_param.num_output == 8 * 49


def test_texts_are_read_back():
    for make in folders()["pascal_voc/Tiny/faster_rcnn_alt_opt"].files(4).values():
        content = make()
        text = text_of(content)
        assert text.startswith("# generated")
        if isinstance(content, CommentedNet):
            net = prototxt.read_net_text(text)
            assert [layer.name for layer in net.layer if layer.type != "Input"] == [
                layer.name for layer in content.message.layer]


def test_folders_and_files_by_their_paths():
    name = "pascal_voc/VGG16/fast_rcnn"
    assert folder_of(name) is folder_of(f"{name}/compressed/test.prototxt") is folders()[name]
    assert folder_of("pascal_voc/VGG16") is folder_of("") is None
    assert is_file(f"{name}/compressed/test.prototxt") and is_file(f"{name}/test.prototxt")
    assert not is_file(f"{name}/compressed") and not is_file(name) and not is_file("x/test.pt")


@pytest.mark.parametrize("old,new", [
    ("VGG16/train.prototxt", "pascal_voc/VGG16/fast_rcnn/train.prototxt"),
    ("CaffeNet/piecewise/train.prototxt", "pascal_voc/CaffeNet/fast_rcnn/piecewise/train.prototxt"),
    ("VGG_CNN_M_1024/coco/test.prototxt", "coco/VGG_CNN_M_1024/fast_rcnn/test.prototxt"),
    ("ZF/faster_rcnn_end2end/test.prototxt", "pascal_voc/ZF/faster_rcnn_end2end/test.prototxt"),
    ("VGG16/nothing.prototxt", None), ("pascal_voc/ZF/fast_rcnn/test.prototxt", None)])
def test_paths_of_other_projects(old, new):
    assert moved_to(old) == new


def test_anchors_are_checked():
    assert AnchorOptions((2, 4)).per_position == 6 and AnchorOptions(ratios=(1,)).per_position == 3
    usual = AnchorOptions((3, 4), (1,), 8)
    assert AnchorOptions((2,)).or_else(usual) == AnchorOptions((2,), (1,), 8)
    with pytest.raises(ConfigValueError, match="ANCHOR_SCALES must be positive"):
        AnchorOptions((0,))
    with pytest.raises(ConfigValueError, match="ANCHOR_BASE"):
        AnchorOptions(base_size=-1)
