"""Reading prototxts: upgrades of old forms, tolerance of old encodings, errors that say where."""
import pytest

from caffe.core.errors import PrototxtError
from caffe.files import prototxt
from caffe.files.upgrade import v1_type_name
from caffe.proto import caffe_pb2 as pb


def net(text):
    return prototxt.read_net_text(text, "net.prototxt")


def refused(text, read=prototxt.read_net_text):
    with pytest.raises(PrototxtError) as caught:
        read(text, "net.prototxt")
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- the schema


@pytest.mark.parametrize("message, field, number", [
    ("LayerParameter", "roi_pooling_param", 8266711),
    ("LayerParameter", "smooth_l1_loss_param", 8266712),
    ("LayerParameter", "python_param", 130),
    ("LayerParameter", "blobs", 7),
    ("V1LayerParameter", "blobs", 6),
    ("NetParameter", "layer", 100),
    ("NetParameter", "layers", 2),
    ("SolverParameter", "weights", 42),
    ("DropoutParameter", "scale_train", 2),
])
def test_field_numbers_are_the_published_ones(message, field, number):
    assert getattr(pb, message).DESCRIPTOR.fields_by_name[field].number == number


def test_defaults_are_the_published_ones():
    assert pb.DropoutParameter().scale_train and pb.DropoutParameter().dropout_ratio == 0.5
    assert pb.ROIPoolingParameter().spatial_scale == 1 and pb.SmoothL1LossParameter().sigma == 1
    assert pb.SolverParameter().random_seed == -1 and pb.SolverParameter().solver_mode == 1
    assert pb.LossParameter().normalization == pb.LossParameter.VALID


def test_old_scripts_find_text_format_without_importing_it():
    import google.protobuf as pb2
    assert pb2.text_format.MessageToString(pb.BlobShape(dim=[3])) == "dim: 3\n"


# -- text


def test_every_way_to_write_a_field():
    parsed = net("""
        name: 'single' "joined"  # comment
        force_backward: t
        layer: { name: "a\\x31\\062", type: "Reshape"; reshape_param < shape { dim: [2, -1] } > }
        layer { name: "b" phase: 1 power_param { power: 1.0f scale: -2 shift: .5 } }
        """)
    assert parsed.name == "singlejoined" and parsed.force_backward
    assert parsed.layer[0].name == "a12"
    assert list(parsed.layer[0].reshape_param.shape.dim) == [2, -1]
    assert parsed.layer[1].phase == pb.TEST
    power = parsed.layer[1].power_param
    assert (power.power, power.scale, power.shift) == (1, -2, 0.5)


@pytest.mark.parametrize("data", [
    'name: "n"\r\nlayer { name: "é" }\r\n'.encode(),
    'name: "n"\rlayer { name: "é" }'.encode(),
    '\ufeffname: "n" layer { name: "é" }'.encode(),
    'name: "n" # ï¬\nlayer { name: "é" }'.encode("latin-1"),
    '\ufeffname: "n" layer { name: "é" }'.encode("utf-16-le"),
], ids=["crlf", "cr", "utf-8 mark", "latin-1", "utf-16"])
def test_encodings_and_line_ends(tmp_path, data):
    path = tmp_path / "net.prototxt"
    path.write_bytes(data)
    parsed = prototxt.read_net(path)
    assert parsed.name == "n" and parsed.layer[0].name == "é"


# -- errors


def test_unknown_field_has_line_column_and_the_nearest_name():
    message = refused('name: "n"\nlayer {\n  convolution_param { num_outputs: 3 }\n}')
    assert message == ('net.prototxt:3:23: ConvolutionParameter has no field "num_outputs" '
                       '(did you mean "num_output"?)')


def test_unknown_enum_value_has_the_nearest_name():
    message = refused("layer { pooling_param { pool: MAXX } }")
    assert message.startswith("net.prototxt:1:31: PoolMethod has no value")
    assert 'did you mean "MAX"?' in message and "MAX, AVE, STOCHASTIC" in message
    assert 'did you mean "RELU"?' in refused("layers { type: RELUU }")
    assert 'did you mean "TRAIN"?' in refused("layer { phase: TRAINS }")


def test_a_block_that_is_not_closed_is_named():
    unclosed = 'layer { name: "#{" } # {\nlayer {\n  name: "b"\n\nlayer { name: "c" }\n'
    assert refused(unclosed).endswith("the block opened in line 2 is never closed")
    assert "closed" not in refused("layer { nam: 3 }")


@pytest.mark.parametrize("text, says", [
    ('layer { type: "ReLU" type: "TanH" }', 'multiple "type" fields'),
    ('layer { name: ReLU }', "1:15"),
    ('layer { name: "ReLU }', "1:15"),
    ('layer { blobs_lr: 1 }', "blobs_lr"),
    ('layer { clip_param { min: 0 } }', "clip_param.max"),
    ('layer { type: "ReLU" } layers { type: RELU }', '"layers" (the old form)'),
    ('input: "a" input_dim: 1', "4 input_dim numbers"),
    ('input: "a" input: "b" input_shape { dim: 1 }', "2 input_shape blocks"),
    ('layers { layer { type: "convs" name: "c" } }', 'did you mean "conv"?'),
    ('layers { layer { type: "padding" name: "p" pad: 1 } bottom: "a" top: "p" } '
     'layers { layer { type: "relu" name: "r" } bottom: "p" top: "p" }', 'padding layer "p"'),
])
def test_other_errors(text, says):
    message = refused(text)
    assert message.startswith("net.prototxt:") and says in message


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(PrototxtError, match="nowhere.prototxt: cannot be read: No such file"):
        prototxt.read_net(tmp_path / "nowhere.prototxt")
    (tmp_path / "w").write_bytes(b"\n\x04name\xa2\x06\x00")
    with pytest.raises(PrototxtError, match="binary file, not a prototxt"):
        prototxt.read_net(tmp_path / "w")


# -- upgrades


def test_v1_layer_becomes_v2():
    [layer] = net("""layers {
        name: "c" type: CONVOLUTION bottom: "x" top: "y" include { phase: TRAIN } loss_weight: 2
        param: "w" param: "b" blob_share_mode: PERMISSIVE
        blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
        convolution_param { num_output: 4 kernel_size: 3 } }""").layer
    assert layer == prototxt.parse("""
        name: "c" type: "Convolution" bottom: "x" top: "y" include { phase: TRAIN } loss_weight: 2
        param { name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 1 }
        param { name: "b" lr_mult: 2 decay_mult: 0 }
        convolution_param { num_output: 4 kernel_size: 3 }""", pb.LayerParameter())


def test_v1_layers_of_fast_rcnn():
    pool, loss = net("""
        layers { type: ROI_POOLING roi_pooling_param { pooled_w: 6 pooled_h: 6 } }
        layers { type: SMOOTH_L1_LOSS smooth_l1_loss_param { sigma: 3 } }""").layer
    assert (pool.type, pool.roi_pooling_param.pooled_h) == ("ROIPooling", 6)
    assert (loss.type, loss.smooth_l1_loss_param.sigma) == ("SmoothL1Loss", 3)


def test_v1_data_layer_moves_its_transformation():
    [layer] = net("""layers { name: "d" type: IMAGE_DATA top: "x" image_data_param {
        source: "list.txt" scale: 0.5 mean_file: "m" crop_size: 9 mirror: true } }""").layer
    transform = layer.transform_param
    assert (transform.scale, transform.mean_file, transform.crop_size, transform.mirror) == \
        (0.5, "m", 9, True)
    assert layer.type == "ImageData" and layer.image_data_param.source == "list.txt"
    assert not layer.image_data_param.HasField("scale")


def test_v1_type_names():
    values = pb.V1LayerParameter.LayerType.DESCRIPTOR.values
    names = {value.name: v1_type_name(value.number) for value in values}
    expected = """AbsVal Accuracy ArgMax BNLL Concat ContrastiveLoss Convolution Data Deconvolution
        Dropout DummyData Eltwise EuclideanLoss Exp Flatten HDF5Data HDF5Output HingeLoss ImageData
        Im2col InfogainLoss InnerProduct LRN MVN MemoryData MultinomialLogisticLoss Pooling Power
        ROIPooling ReLU Sigmoid SigmoidCrossEntropyLoss Silence Slice SmoothL1Loss Softmax
        SoftmaxWithLoss Split TanH Threshold WindowData"""
    assert names.pop("NONE") == ""
    assert sorted(names.values()) == sorted(expected.split())
    assert names["SOFTMAX_LOSS"] == "SoftmaxWithLoss" and names["IM2COL"] == "Im2col"


def test_v0_net_with_padding_layer():
    layers = net("""
        layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "x" top: "p" }
        layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 stride: 2
                 biasterm: false blobs_lr: 1 weight_filler { type: "xavier" } }
                 bottom: "p" top: "c" }
        layers { layer { name: "q" type: "pool" pool: AVE kernelsize: 3 stride: 2 }
                 bottom: "c" top: "q" }
        layers { layer { name: "d" type: "images" source: "l" meanfile: "m" batchsize: 5
                 shuffle_images: true new_height: 7 } top: "d" }""").layer
    assert [(layer.name, layer.type) for layer in layers] == \
        [("c", "Convolution"), ("q", "Pooling"), ("d", "ImageData")]
    assert list(layers[0].bottom) == ["x"]
    conv, pool = layers[0].convolution_param, layers[1].pooling_param
    data = layers[2].image_data_param
    assert (conv.num_output, conv.pad, conv.kernel_size, conv.stride, conv.bias_term) == \
        (4, [2], [3], [2], False)
    assert conv.weight_filler.type == "xavier" and layers[0].param[0].lr_mult == 1
    assert (pool.pool, pool.kernel_size, pool.stride) == (pb.PoolingParameter.AVE, 3, 2)
    assert (data.source, data.batch_size, data.shuffle, data.new_height) == ("l", 5, True, 7)
    assert layers[2].transform_param.mean_file == "m"


def test_v0_field_of_another_type_is_reported(caplog):
    net('layers { layer { name: "r" type: "relu" kernelsize: 3 } bottom: "x" top: "x" }')
    assert 'layer "r": "kernelsize" has no meaning' in caplog.text


@pytest.mark.parametrize("fields, shapes", [
    ('input: "a" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4', [[1, 2, 3, 4]]),
    ('input: "a" input_shape { dim: 1 dim: 2 }', [[1, 2]]),
    ('input: "a" input_shape { dim: 1 } input: "b" input_shape { dim: 2 dim: 5 }', [[1], [2, 5]]),
])
def test_inputs_become_the_first_layer(fields, shapes):
    parsed = net('layer { name: "r" type: "ReLU" }' + fields)
    first, second = parsed.layer
    assert (first.name, first.type, second.name) == ("input", "Input", "r")
    assert list(first.top) == ["a", "b"][:len(shapes)]
    assert [list(shape.dim) for shape in first.input_param.shape] == shapes
    assert not parsed.input and not parsed.input_dim and not parsed.input_shape


def test_batch_norm_loses_exactly_three_param_blocks():
    layers = net("""layer { type: "BatchNorm" param { lr_mult: 0 } param {} param {} }
                    layer { type: "BatchNorm" param { lr_mult: 1 } }
                    layer { type: "Scale" param {} param {} param {} }""").layer
    assert [len(layer.param) for layer in layers] == [0, 1, 3]


def test_current_net_is_left_alone():
    text = 'name: "n" layer { name: "r" type: "ReLU" relu_param { negative_slope: 0.1 } }'
    assert net(text) == prototxt.parse(text, pb.NetParameter())


# -- solvers


def test_solver_type_enum_becomes_a_name(tmp_path):
    path = tmp_path / "solver.prototxt"
    path.write_text('base_lr: 0.1 solver_type: ADADELTA snapshot_prefix: "s" '
                    'train_net_param { layers { name: "r" type: RELU } }')
    solver = prototxt.read_solver(path)
    assert solver.type == "AdaDelta" and not solver.HasField("solver_type")
    assert solver.train_net_param.layer[0].type == "ReLU"


def test_solver_snapshot_prefix(tmp_path):
    path = tmp_path / "solver.prototxt"
    path.write_text("base_lr: 0.1")
    assert prototxt.read_solver(path).snapshot_prefix == str(tmp_path / "solver")
    path.write_text(f'base_lr: 0.1 snapshot_prefix: "{tmp_path}"')
    assert prototxt.read_solver(path).snapshot_prefix == str(tmp_path / "solver")
    path.write_text('base_lr: 0.1 snapshot_prefix: "own"')
    assert prototxt.read_solver(path).snapshot_prefix == "own"


def test_solver_errors():
    message = refused("base_lr: 0.1\nmax_iters: 7", prototxt.read_solver_text)
    assert message == ('net.prototxt:2:1: SolverParameter has no field "max_iters" '
                       '(did you mean "max_iter"?)')
    assert "solver_type" in refused('type: "SGD" solver_type: SGD', prototxt.read_solver_text)
