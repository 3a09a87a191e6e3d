"""How the layer tests build layers, and an example of every type."""
import pathlib
import tempfile

import data_files
import numpy as np
import torch
from google.protobuf import text_format

import caffe
import caffe.layer_types  # noqa: F401 - registers the types
from caffe.files import prototxt
from caffe.layer_types.common import registry
from caffe.proto import caffe_pb2


def build(text, *shapes, tops=1, phase=caffe_pb2.TRAIN):
    """The module of a layer whose LayerParameter has this text, for bottoms of these shapes."""
    param = text_format.Parse(text, caffe_pb2.LayerParameter(name="lay"))
    param.bottom.extend(f"b{i}" for i in range(len(shapes)))
    if not param.top:
        param.top.extend(f"t{i}" for i in range(tops))
    return registry.lookup(param.type, "lay")(param, [tuple(s) for s in shapes], phase)


def run(text, *bottoms, blobs=(), **options):
    """The tops of a layer with these bottoms (and blobs), as one array or a tuple of them."""
    bottoms = [torch.as_tensor(np.asarray(b, dtype=np.float32)) for b in bottoms]
    module = build(text, *(b.shape for b in bottoms), **options)
    for blob, value in zip(module.blobs, blobs):
        blob.data.copy_(torch.as_tensor(np.asarray(value, dtype=np.float32)))
    tops = module(*bottoms)
    return tuple(t.detach().numpy() for t in tops) if isinstance(tops, tuple) else \
        tops.detach().numpy()


def gradient(text, grad, *bottoms, of=0, **options):
    """The gradient of bottom `of` when the first top's gradient is `grad`."""
    bottoms = [torch.tensor(b, dtype=torch.float32, requires_grad=i == of)
               for i, b in enumerate(bottoms)]
    module = build(text, *(b.shape for b in bottoms), **options)
    tops = module(*bottoms)
    top = tops[0] if isinstance(tops, tuple) else tops
    grad = torch.as_tensor(np.asarray(grad, dtype=np.float32)).expand(top.shape)
    return torch.autograd.grad(top, bottoms[of], grad)[0].numpy()


def values(shape, seed=0):
    """Distinct values around 0, none within 0.01 of it nor of another: no kinks, no ties."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    spread = (order - (count - 1) / 2) * (4 / count) + 0.013
    return torch.tensor(spread.reshape(shape))


def labels(shape, classes=3):
    """Labels 0 .. classes - 1 in turn."""
    return torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(shape) % classes


X = values((2, 3, 4, 5))
ROW = values((4, 3))
ROIS = torch.tensor([[0, 0, 0, 3, 3], [1, 1, 0, 4, 2]], dtype=torch.float64)
PRIORS = torch.tensor([[[0.1, 0.1, 0.5, 0.5, 0.4, 0.3, 0.9, 0.8], [0.1] * 8]],
                      dtype=torch.float64)
OBJECTS = torch.tensor([[0, 1, 0, 0.1, 0.1, 0.5, 0.4, 0], [1, 2, 0, 0.5, 0.2, 0.9, 0.9, 0]],
                       dtype=torch.float64)[None, None]
# away from the kinks of bilinear interpolation; the image index is rounded down
BETWEEN = torch.tensor([[0.5, 0.12, 0.23, 2.97, 2.81], [1.5, 1.13, 0.21, 3.92, 2.34]],
                       dtype=torch.float64)
CONT = torch.tensor([[0, 1], [1, 1], [1, 0]], dtype=torch.float64)
RECURRENT = "recurrent_param { num_output: 2 weight_filler { type: 'uniform' min: -1 max: 1 } }"
WEIGHTS = "weight_filler { type: 'xavier' } bias_filler { value: 0.1 }"

FILES = tempfile.TemporaryDirectory()   # what the examples of data layers read; goes with Python


def example_files():
    """{kind: path} of small files for the data layers."""
    root = pathlib.Path(FILES.name)
    folders = {kind: root / kind for kind in ("images", "hdf5", "windows", "pairs")}
    for folder in folders.values():
        folder.mkdir()
    images = data_files.pictures(3)
    return {
        "database": data_files.write_database(root / "database", images),
        "annotated": data_files.write_annotated(root / "annotated", images, [
            [(1, 0, 0.1, 0.2, 0.6, 0.7, False), (2, 0, 0.5, 0.5, 1, 1, True)], [], []]),
        "images": data_files.write_images(folders["images"], images),
        "pairs": data_files.write_pairs(folders["pairs"], images,
                                        [image[:, :, 0] % 3 for image in images]),
        "hdf5": data_files.write_hdf5(folders["hdf5"], {"t0": np.ones((3, 2, 2)),
                                                        "t1": np.arange(3)}),
        "windows": data_files.write_windows(folders["windows"], images, [
            [(1, 0.9, 0, 0, 4, 4), (1, 0.1, 2, 2, 7, 5)]] * 3),
        "output": root / "output.h5"}


PATHS = example_files()

# type -> [(text behind the type, bottoms, number of tops)]
EXAMPLES = {
    "AbsVal": [("", [X], 1)],
    "Accuracy": [("accuracy_param { top_k: 2 }", [ROW, labels(4)], 2)],
    "AnnotatedData": [
        (f"data_param {{ source: '{PATHS['annotated']}' batch_size: 2 backend: LMDB }} "
         "transform_param { resize_param { height: 6 width: 5 } mean_value: 9 }", [], 2)],
    "ArgMax": [("argmax_param { out_max_val: true top_k: 2 }", [X], 1)],
    "Axpy": [("", [values((2, 3)), X, values((2, 3, 4, 5), 1)], 1),
             ("", [values((2, 3, 1, 1)), X, values((2, 3, 4, 5), 1)], 1)],
    "BN": [(f"bn_param {{ {text} }}", [X], tops) for text, tops in (
        ("slope_filler { value: 1 } bias_filler { value: 0.1 }", 1),
        ("slope_filler { value: 1 } frozen: true", 1),
        ("scale_filler { value: 1 } shift_filler { value: 0.1 }", 3),
        ("scale_filler { value: 1 } bn_mode: INFERENCE", 1))],
    "BNLL": [("", [X], 1)],
    "BatchNorm": [("", [X], 1), ("batch_norm_param { use_global_stats: true }", [X], 1),
                  ("batch_norm_param { scale_bias: true }", [X], 1)],
    "BatchReindex": [("", [X, torch.tensor([1.0, 0, 1])], 1)],
    "Bias": [("bias_param { num_axes: 2 }", [X], 1), ("", [X, values((3, 4))], 1)],
    "BoxAnnotatorOHEM": [("box_annotator_ohem_param { roi_per_img: 1 }",
                          [ROIS, values((2, 1)), labels((2, 1)), values((2, 8))], 2)],
    "CenterLoss": [("center_loss_param { num_output: 3 center_filler { type: 'gaussian' } }",
                    [X, labels(2)], 1)],
    "BoxGroupOutput": [
        ("box_group_output_param { min_size: 1 max_post_nms_num: 1 "
         "box_group_param { stride: 8 field_h: 9 field_w: 9 "
         "field_h: 12 field_w: 6 } } bbox_reg_param { bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 "
         "bbox_mean: 0 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }",
         [values((2, 2, 3, 5)).sigmoid(), values((2, 4, 3, 5))], 2)],
    "Clip": [("clip_param { min: -1.2 max: 0.7 }", [X], 1)],
    "Concat": [("concat_param { axis: -1 }", [X, values((2, 3, 4, 1))], 1)],
    "ContrastiveLoss": [
        ("contrastive_loss_param { margin: 3 }", [ROW, values((4, 3), 1), labels(4, 2)], 1),
        ("contrastive_loss_param { margin: 9 legacy_version: true }",
         [ROW, values((4, 3), 1), labels(4, 2)], 1)],
    "Convolution": [
        (f"convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 stride: 2 {WEIGHTS} }}",
         [X], 1),
        (f"convolution_param {{ num_output: 4 kernel_size: 2 dilation: 2 group: 2 {WEIGHTS} }}",
         [values((2, 4, 7)), values((2, 4, 7), 1)], 2),
        (f"convolution_param {{ num_output: 2 kernel_size: 2 axis: 2 {WEIGHTS} }}", [X], 1)],
    "ConvolutionDepthwise": [
        (f"convolution_param {{ kernel_size: 3 pad: 1 stride: 2 {WEIGHTS} }}", [X], 1)],
    "Crop": [("crop_param { offset: 1 offset: 2 }", [X, values((2, 3, 2, 2))], 1)],
    "Data": [(f"data_param {{ source: '{PATHS['database']}' batch_size: 2 backend: LMDB }}",
              [], 2)],
    "DecodeBBox": [("", [values((2, 8)) / 10, ROIS], 1)],
    "Deconvolution": [
        (f"convolution_param {{ num_output: 2 kernel_size: 3 stride: 2 pad: 1 {WEIGHTS} }}",
         [X], 1)],
    "DenseImageData": [
        (f"dense_image_data_param {{ source: '{PATHS['pairs']}' batch_size: 2 mirror: true "
         f"root_folder: '{PATHS['pairs'].parent}/' crop_height: 3 crop_width: 4 }}", [], 2)],
    "DepthwiseConvolution": [
        (f"convolution_param {{ num_output: 3 group: 3 kernel_size: 2 hole: 2 {WEIGHTS} }}",
         [X], 1)],
    "DetectionEvaluate": [("detection_evaluate_param { num_classes: 3 }",
                           [torch.tensor([[[[0, 1, 0.9, 0.1, 0.1, 0.5, 0.5]]]],
                                         dtype=torch.float64), OBJECTS], 1)],
    "DetectionOutput": [("detection_output_param { num_classes: 2 keep_top_k: 1 }",
                         [values((1, 8)), values((1, 4)), PRIORS], 1)],
    "Dropout": [("", [X], 1), ("dropout_param { scale_train: false }", [X], 1)],
    "DummyData": [("dummy_data_param { shape { dim: 2 dim: 3 } }", [], 2)],
    "ELU": [("elu_param { alpha: 0.5 }", [X], 1)],
    "Eltwise": [
        ("eltwise_param { coeff: 2 coeff: -1 coeff: 1 }", [X, X + 1, X * 2], 1),
        ("eltwise_param { operation: PROD }", [X, X + 5, X - 7], 1),
        ("eltwise_param { operation: PROD stable_prod_grad: false }", [X, X + 5], 1),
        ("eltwise_param { operation: MAX }", [ROW, ROW.flip(0) * 1.1, ROW.flip(1) * 0.9], 1)],
    "Embed": [(f"embed_param {{ num_output: 2 input_dim: 3 {WEIGHTS} }}", [labels((2, 2))], 1)],
    "EuclideanLoss": [("", [ROW, values((4, 3), 1)], 1)],
    "Exp": [("exp_param { base: 2 scale: -0.5 shift: 1 }", [X], 1)],
    "Filter": [("", [X, ROW[:2], torch.tensor([0.0, 1])], 2)],
    "Flatten": [("flatten_param { end_axis: 2 }", [X], 1)],
    "FocalLoss": [("focal_loss_param { gamma: 1.5 }", [ROW, labels(4)], 1)],
    "HDF5Data": [(f"hdf5_data_param {{ source: '{PATHS['hdf5']}' batch_size: 2 }}", [], 2)],
    "HDF5Output": [(f"hdf5_output_param {{ file_name: '{PATHS['output']}' }}", [X, labels(2)], 0)],
    "HardSigmoid": [("", [X * 4], 1)],
    "HardSwish": [("", [X * 4], 1)],
    "HingeLoss": [("", [ROW, labels(4)], 1),
                  ("hinge_loss_param { norm: L2 }", [ROW, labels(4)], 1)],
    "Im2col": [("convolution_param { kernel_size: 2 stride: 2 pad: 1 dilation: 2 }", [X], 1)],
    "ImageData": [
        (f"image_data_param {{ source: '{PATHS['images']}' batch_size: 2 "
         f"root_folder: '{PATHS['images'].parent}/' new_height: 3 new_width: 4 }}", [], 2)],
    "ImageSegData": [
        (f"image_data_param {{ source: '{PATHS['pairs']}' batch_size: 2 label_type: PIXEL "
         f"root_folder: '{PATHS['pairs'].parent}/' }} transform_param {{ crop_size: 9 "
         "scale_factors: 0.5 scale_factors: 2 mean_value: 100 }", [], 3)],
    "InfogainLoss": [("", [ROW, labels(4), values((3, 3), 3)], 2)],
    "InnerProduct": [
        (f"inner_product_param {{ num_output: 4 {WEIGHTS} }}", [X], 1),
        (f"inner_product_param {{ num_output: 4 axis: -1 transpose: true {WEIGHTS} }}", [X], 1)],
    "Input": [("input_param { shape { dim: 2 } }", [], 1)],
    "Interp": [(f"interp_param {{ {text} }}", bottoms, 1) for text, bottoms in (
        ("height: 7 width: 3", [X]), ("zoom_factor: 3 pad_beg: -1 pad_end: -1", [X]),
        ("shrink_factor: 2", [X]), ("", [X, values((1, 1, 6, 6))]))],
    "LRN": [("lrn_param { local_size: 3 alpha: 0.8 k: 2 }", [X], 1),
            ("lrn_param { local_size: 3 alpha: 0.8 norm_region: WITHIN_CHANNEL }", [X], 1)],
    "LSTM": [(RECURRENT, [values((3, 2, 3)), CONT], 1),
             (RECURRENT.replace("{ num", "{ expose_hidden: true num"),
              [values((3, 2, 3)), CONT, values((2, 5)), values((1, 2, 2)), values((1, 2, 2), 1)],
              3)],
    "Lstm": [("lstm_param { num_output: 2 weight_filler { type: 'gaussian' } }",
              [values((3, 2, 3))], 1),
             ("lstm_param { num_output: 2 batch_size: 2 weight_filler { type: 'gaussian' } }",
              [values((6, 3)), CONT], 1)],
    "LSTMUnit": [("", [values((1, 2, 3)), values((1, 2, 12)), CONT[:1]], 2)],
    "Log": [("log_param { base: 10 scale: 0.5 shift: 3 }", [X], 1)],
    "MVN": [("", [X], 1), ("mvn_param { across_channels: true normalize_variance: false }", [X],
                           1)],
    "MarginInnerProduct": [
        (f"margin_inner_product_param {{ num_output: 3 type: {kind} "
         "weight_filler { type: 'xavier' } }", [X, labels(2)], tops)
        for kind, tops in (("SINGLE", 1), ("DOUBLE", 2), ("TRIPLE", 1), ("QUADRUPLE", 2))],
    "MaskPooling": [("", [X, values((2, 1, 4, 5), 1)], 1)],
    "MaskResize": [("mask_resize_param { output_height: 3 output_width: 7 }", [X], 1)],
    "MemoryData": [("memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 }", [], 2)],
    "Mish": [("", [X], 1)],
    "MultiBoxLoss": [(f"multibox_loss_param {{ num_classes: 3 {text} }}",
                      [values((2, 8)), values((2, 6)), PRIORS, OBJECTS], 1) for text in (
        "code_type: CENTER_SIZE", "loc_loss_type: L2 conf_loss_type: LOGISTIC loc_weight: 2",
        "mining_type: NONE code_type: CORNER_SIZE encode_variance_in_target: true")],
    "MultinomialLogisticLoss": [("", [ROW.abs() / 2, labels(4)], 1)],
    "Normalize": [("", [X], 1), ("norm_param { across_spatial: false channel_shared: false "
                                 "scale_filler { value: 20 } }", [X], 1)],
    "PReLU": [("", [X], 1), ("prelu_param { channel_shared: true }", [X], 1)],
    "PSROIPooling": [("psroi_pooling_param { output_dim: 2 group_size: 2 }",
                      [values((2, 8, 4, 5)), ROIS], 1)],
    "Parameter": [("parameter_param { shape { dim: 2 dim: 3 } }", [], 1)],
    "Permute": [("permute_param { order: 0 order: 2 order: 3 order: 1 }", [X], 1),
                ("permute_param { order: 2 }", [X], 1)],
    "Pooling": [
        ("pooling_param { kernel_size: 3 stride: 2 }", [X], 1),
        ("pooling_param { kernel_size: 3 stride: 2 pad: 2 }", [X], 2),
        ("pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }", [X], 1),
        ("pooling_param { pool: AVE kernel_size: 1 stride: 3 }", [X], 1),
        ("pooling_param { pool: AVE global_pooling: true }", [X], 1),
        ("pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }", [X.abs()], 1)],
    "Power": [("power_param { power: 3 scale: 0.5 shift: 2 }", [X], 1), ("", [X], 1)],
    "PriorBox": [("prior_box_param { min_size: 3 max_size: 5 aspect_ratio: 2 clip: true }",
                  [X, values((1, 3, 20, 20))], 1)],
    "PriorBoxClustered": [("prior_box_param { width: 3 height: 4 width: 5 height: 6.5 }",
                           [X, values((1, 3, 20, 20))], 1)],
    "Proposal": [("proposal_param { ratio: 1 scale: 1 scale: 2 min_size: 1 post_nms_topn: 2 }",
                  [values((1, 4, 2, 3)), values((1, 8, 2, 3)) / 10,
                   torch.tensor([[32.0, 48, 1, 1, 1, 1]])], 2)],
    "RNN": [(RECURRENT, [values((3, 2, 3)), CONT], 1)],
    "ROIAlign": [
        ("roi_align_param { pooled_h: 2 pooled_w: 2 }", [X, BETWEEN], 1),
        ("roi_align_param { pooled_h: 1 pooled_w: 3 spatial_scale: 0.6 sampling_ratio: 2 "
         "aligned: true }", [X, BETWEEN], 1),
        ("roi_align_param { pooled_h: 2 pooled_w: 1 corners: true pad_ratio: 0.1 }", [X, ROIS], 1),
        ("roi_pooling_param { pooled_h: 2 pooled_w: 1 }", [X, BETWEEN], 1)],
    "ROIWarping": [("roi_warping_param { pooled_h: 2 pooled_w: 3 }", [X, ROIS], 1)],
    "ROIPooling": [("roi_pooling_param { pooled_h: 2 pooled_w: 2 }", [X, ROIS], 1)],
    "ReLU": [("", [X], 1), ("relu_param { negative_slope: 0.1 }", [X], 1)],
    "ReLU6": [("", [X * 4], 1), ("relu6_param { negative_slope: 0.1 }", [X * 4], 1)],
    "Reduction": [(f"reduction_param {{ operation: {name} axis: 1 coeff: 2 }}", [X], 1)
                  for name in ("SUM", "ASUM", "SUMSQ", "MEAN")],
    "Reorg": [("reorg_param { stride: 2 }", [values((2, 4, 4, 6))], 1),
              ("reorg_param { stride: 2 reverse: true }", [values((2, 8, 2, 3))], 1)],
    "Reshape": [("reshape_param { shape { dim: 0 dim: -1 dim: 10 } }", [X], 1)],
    "Reverse": [("", [X], 1), ("reverse_param { axis: -1 }", [X], 1)],
    "SPP": [("spp_param { pyramid_height: 2 }", [X], 1),
            ("spp_param { pyramid_height: 2 pool: AVE }", [X], 1)],
    "Scale": [("scale_param { bias_term: true }", [X], 1),
              ("scale_param { bias_term: true axis: 2 }", [X, values(4)], 1)],
    "ScaleRoute": [("scale_route_param { low_scale: 1 high_scale: 100 }",
                    [ROIS, values((2, 3))], 2)],
    "SeLu": [("", [X], 1)],
    "SeLuDropout": [("selu_dropout_param { dropout_ratio: 0.3 }", [X], 1)],
    "ShuffleChannel": [("shuffle_channel_param { group: 3 }", [values((2, 6, 4))], 1)],
    "Sigmoid": [("", [X], 1)],
    "SigmoidCrossEntropyLoss": [("loss_param { ignore_label: 0 normalization: VALID }",
                                 [ROW, labels((4, 3), 2)], 1)],
    "Silence": [("", [X], 0)],
    "Slice": [("slice_param { slice_point: 1 }", [X], 2)],
    "SmoothL1Loss": [
        ("smooth_l1_loss_param { sigma: 2 }", [ROW, values((4, 3), 1)], 1),
        ("", [ROW, values((4, 3), 1), values((4, 3), 2)], 1),
        ("", [ROW, values((4, 3), 1), values((4, 3), 2), values((4, 3), 3)], 1)],
    "SmoothL1LossOHEM": [
        ("", [X, values((2, 3, 4, 5), 1)], 2),
        ("loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 3 }",
         [ROW, values((4, 3), 1), labels((4, 3), 2)], 1)],
    "SegAccuracy": [("seg_accuracy_param { ignore_label: 1 }",
                     [X, labels((2, 1, 4, 5))], 1)],
    "Softmax": [("softmax_param { axis: 2 }", [X], 1)],
    "SoftmaxFocalLoss": [("loss_param { ignore_label: 1 }", [X, labels((2, 4, 5))], 2)],
    "SoftmaxWithLoss": [
        ("loss_param { ignore_label: 1 }", [X, labels((2, 4, 5))], 2),
        ("loss_param { weight_by_label_freqs: true class_weighting: 2 class_weighting: 0.5 "
         "class_weighting: 3 }", [X, labels((2, 4, 5))], 1)],
    "SoftmaxWithLossOHEM": [
        ("loss_param { ignore_label: 1 normalization: PRE_FIXED pre_fixed_normalizer: 7 }",
         [X, labels((2, 4, 5))], 3)],
    "Split": [("", [X], 3)],
    "Swish": [("swish_param { beta: 1.5 }", [X], 1)],
    "TanH": [("", [X], 1)],
    "Threshold": [("threshold_param { threshold: 0.3 }", [X], 1)],
    "Tile": [("tile_param { axis: 2 tiles: 3 }", [X], 1)],
    "Transpose": [("transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 }", [X], 1)],
    "Upsample": [("upsample_param { scale: 3 }", [X], 1),
                 ("upsample_param { pad_out_w: true }",
                  [values((1, 2, 2, 2)), labels((1, 2, 2, 2), 12)], 1)],
    "YoloDetectionOutput": [
        ("yolo_detection_output_param { num_classes: 2 num_box: 1 biases: 1 biases: 2 "
         "confidence_threshold: 0.99 }", [values((1, 7, 2, 3))], 1)],
    "Yolov3DetectionOutput": [
        ("yolov3_detection_output_param { num_classes: 2 num_box: 1 mask_group_num: 1 biases: 9 "
         "biases: 20 anchors_scale: 16 mask: 0 confidence_threshold: 0.99 }",
         [values((1, 7, 2, 3))], 1)],
    "WindowData": [(f"window_data_param {{ source: '{PATHS['windows']}' batch_size: 4 }} "
                    "transform_param { crop_size: 5 }", [], 2)],
}
CASES = [(name, *example) for name, examples in EXAMPLES.items() for example in examples]


def net_around(kind, text, bottoms, tops):
    """A TEST net of one layer "it", its inputs holding the bottoms, its blobs random."""
    inputs = "".join(
        f'layer {{ name: "b{i}" type: "Input" top: "b{i}" input_param {{ shape {{ '
        + " ".join(f"dim: {d}" for d in b.shape) + " } } }\n" for i, b in enumerate(bottoms))
    names = "".join(f'bottom: "b{i}" ' for i in range(len(bottoms)))
    names += "".join(f'top: "t{i}" ' for i in range(tops))
    layer = f'layer {{ name: "it" type: "{kind}" {names} {text} }}'
    net = caffe.Net(prototxt.read_net_text(inputs + layer), caffe.TEST)
    generator = np.random.default_rng(3)
    for blob in net.params.get("it", ()):
        blob.data[...] = generator.uniform(0.5, 1.5, blob.shape)
    for i, array in enumerate(bottoms):
        net.blobs[f"b{i}"].data[...] = array.numpy()
    return net
