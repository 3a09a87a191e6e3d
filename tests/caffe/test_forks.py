"""Files of Caffe's forks: their prototxts are read, build nets that run, and their weights load."""
import numpy as np
import pytest
from net_texts import conv, fc, input_layer, layer, net

import caffe
from caffe.core.errors import PrototxtError
from caffe.files import prototxt, weights, wire
from caffe.proto import caffe_pb2 as pb


def feed(a_net, **arrays):
    """Random numbers for the inputs that `arrays` does not name."""
    rng = np.random.default_rng(0)
    for name in a_net.inputs:
        data = a_net.blobs[name].data
        data[...] = arrays[name] if name in arrays else rng.normal(size=data.shape)
    return a_net


# -- prototxts

SSD_DATA = """
layer {
  name: "data" type: "AnnotatedData" top: "data" top: "label" include { phase: TRAIN }
  transform_param {
    mirror: true mean_value: 104 mean_value: 117 mean_value: 123
    resize_param { prob: 1 resize_mode: WARP height: 300 width: 300
                   interp_mode: LINEAR interp_mode: AREA interp_mode: LANCZOS4 }
    emit_constraint { emit_type: CENTER }
    distort_param { brightness_prob: 0.5 brightness_delta: 32 hue_prob: 0.5 hue_delta: 18
                    random_order_prob: 0.0 }
    expand_param { prob: 0.5 max_expand_ratio: 4.0 }
    noise_param { prob: 0.1 saltpepper_param { fraction: 0.1 value: 3 } }
  }
  data_param { source: "VOC_lmdb" batch_size: 32 backend: LMDB }
  annotated_data_param {
    batch_sampler { max_sample: 1 max_trials: 1 }
    batch_sampler {
      sampler { min_scale: 0.3 max_scale: 1.0 min_aspect_ratio: 0.5 max_aspect_ratio: 2.0 }
      sample_constraint { min_jaccard_overlap: 0.1 } max_sample: 1 max_trials: 50
    }
    label_map_file: "labelmap_voc.prototxt" anno_type: BBOX
  }
}
layer {
  name: "mbox_loss" type: "MultiBoxLoss" bottom: "loc" top: "mbox_loss"
  propagate_down: true loss_param { normalization: VALID }
  multibox_loss_param {
    loc_loss_type: SMOOTH_L1 conf_loss_type: SOFTMAX loc_weight: 1.0 num_classes: 21
    match_type: PER_PREDICTION overlap_threshold: 0.5 use_prior_for_matching: true
    use_difficult_gt: true neg_pos_ratio: 3.0 neg_overlap: 0.5 code_type: CENTER_SIZE
    ignore_cross_boundary_bbox: false mining_type: MAX_NEGATIVE
  }
}
layer {
  name: "detection_eval" type: "DetectionEvaluate" bottom: "out" bottom: "label" top: "eval"
  include { phase: TEST }
  detection_evaluate_param { num_classes: 21 overlap_threshold: 0.5 evaluate_difficult_gt: false
                             name_size_file: "test_name_size.txt" }
}
"""


def test_ssd_training_nets_are_read():
    data, loss, evaluate = prototxt.read_net_text(SSD_DATA).layer
    assert data.annotated_data_param.batch_sampler[1].sampler.min_scale == pytest.approx(0.3)
    assert data.transform_param.resize_param[0].interp_mode[2] == pb.ResizeParameter.LANCZOS4
    assert loss.multibox_loss_param.code_type == pb.PriorBoxParameter.CENTER_SIZE
    assert not evaluate.detection_evaluate_param.evaluate_difficult_gt


def test_ssd_and_pvanet_solvers_are_read():
    solver = prototxt.read_solver_text(
        'train_net: "t" lr_policy: "plateau" plateau_winsize: 10000 plateau_winsize: 20000 '
        'eval_type: "detection" ap_version: "11point" show_per_class_result: true')
    assert list(solver.plateau_winsize) == [10000, 20000]


@pytest.mark.parametrize("text, problem", [
    ("permute_params { order: 0 }", '1:25: LayerParameter has no field "permute_params" .did you '
                                    'mean "permute_param"'),
    ("prior_box_param { min_sizes: 3 }", 'PriorBoxParameter has no field "min_sizes" .did you '
                                         'mean "min_size"'),
    ("detection_output_param { code_type: CENTRE_SIZE }", 'did you mean "CENTER_SIZE"')])
def test_what_no_fork_knows_is_still_an_error(text, problem):
    with pytest.raises(PrototxtError, match=problem) as caught:
        prototxt.read_net_text(f'layer {{ type: "Permute" {text} }}', "net.prototxt")
    assert str(caught.value).startswith("net.prototxt:")


@pytest.mark.parametrize("message, field, default", [
    ("ProposalParameter", "pre_nms_topn", 6000), ("ProposalParameter", "post_nms_topn", 300),
    ("ProposalParameter", "nms_thresh", np.float32(0.7)), ("ProposalParameter", "min_size", 16),
    ("BoxAnnotatorOHEMParameter", "ignore_label", -1), ("LossParameter", "pre_fixed_normalizer", 1),
    ("NonMaximumSuppressionParameter", "nms_threshold", np.float32(0.3)),
    ("DetectionOutputParameter", "share_location", True),
    ("DetectionOutputParameter", "keep_top_k", -1), ("PriorBoxParameter", "flip", True),
    ("PriorBoxParameter", "offset", 0.5), ("NormalizeParameter", "across_spatial", True),
    ("NormalizeParameter", "channel_shared", True), ("UpsampleParameter", "scale", 2),
    ("SolverState", "minimum_loss", np.float32(1e38))])
def test_defaults_are_those_of_the_forks(message, field, default):
    assert getattr(getattr(pb, message)(), field) == pytest.approx(default)


# -- nets that run

RFCN = "".join([
    input_layer("rois", 6, 5, 1, 1), input_layer("x", 6, 4), input_layer("labels", 6, 1, 1, 1),
    input_layer("targets", 6, 8, 1, 1), input_layer("inside", 6, 8, 1, 1),
    fc("cls_score", "x", 3), fc("bbox", "x", 8),
    layer("bbox_pred", "Reshape", "bbox", None, "reshape_param { shape { dim: -1 dim: 8 dim: 1 "
                                                "dim: 1 } }"),
    layer("per_roi_loss_cls", "SoftmaxWithLossOHEM", "cls_score labels",
          "temp_loss_cls temp_prob_cls per_roi_loss_cls",
          "loss_weight: 0 loss_weight: 0 loss_weight: 0 propagate_down: false "
          "propagate_down: false"),
    layer("per_roi_loss_bbox", "SmoothL1LossOHEM", "bbox_pred targets inside",
          "temp_loss_bbox per_roi_loss_bbox",
          "loss_weight: 0 loss_weight: 0 propagate_down: false propagate_down: false "
          "propagate_down: false"),
    layer("per_roi_loss", "Eltwise", "per_roi_loss_cls per_roi_loss_bbox", None,
          "propagate_down: false propagate_down: false"),
    layer("annotator", "BoxAnnotatorOHEM", "rois per_roi_loss labels inside",
          "labels_ohem bbox_loss_weights_ohem",
          "propagate_down: false propagate_down: false propagate_down: false "
          "propagate_down: false box_annotator_ohem_param { roi_per_img: 2 ignore_label: -1 }"),
    layer("silence", "Silence", "temp_loss_cls temp_prob_cls temp_loss_bbox", ""),
    layer("loss", "SoftmaxWithLoss", "cls_score labels_ohem", None,
          "loss_weight: 1 loss_param { ignore_label: -1 } propagate_down: true "
          "propagate_down: false"),
    layer("loss_bbox", "SmoothL1LossOHEM", "bbox_pred targets bbox_loss_weights_ohem", None,
          "loss_weight: 1 loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 128 } "
          "propagate_down: true propagate_down: false propagate_down: false")])


def test_r_fcn_learns_from_the_hardest_rois_only():
    rois = np.zeros((6, 5, 1, 1))
    rois[3:, 0] = 1
    trained = feed(net(RFCN), rois=rois, labels=np.reshape([1, 2, 0, 1, 0, 2], (6, 1, 1, 1)),
                   inside=np.ones((6, 8, 1, 1)))
    trained.forward()
    trained.backward()
    losses = trained.blobs["per_roi_loss"].data.ravel()
    hardest = {int(i) for half in (0, 3) for i in half + np.argsort(-losses[half:half + 3])[:2]}
    assert {i for i in range(6) if trained.blobs["labels_ohem"].data[i] != -1} == hardest
    for name in ("cls_score", "bbox_pred"):
        rows = np.abs(trained.blobs[name].diff.reshape(6, -1)).sum(1)
        assert {int(i) for i in rows.nonzero()[0]} == hardest


def test_pvanet_proposals_feed_a_head():
    tested = net(
        input_layer("features", 1, 3, 4, 5), input_layer("im_info", 1, 6),
        input_layer("rpn_cls_prob", 1, 12, 4, 5), input_layer("rpn_bbox_pred", 1, 24, 4, 5),
        layer("proposal", "Proposal", "rpn_cls_prob rpn_bbox_pred im_info", "rois scores",
              "include { phase: TEST } proposal_param { ratio: 0.5 ratio: 1 ratio: 2 scale: 2 "
              "scale: 4 base_size: 16 feat_stride: 16 pre_nms_topn: 60 post_nms_topn: 9 "
              "nms_thresh: 0.7 min_size: 16 }"),
        layer("pool", "ROIPooling", "features rois", None,
              "roi_pooling_param { pooled_w: 2 pooled_h: 2 spatial_scale: 0.0625 }"),
        fc("cls_score", "pool", 3), phase=caffe.TEST)
    assert tested.blobs["rois"].shape == (9, 5)
    feed(tested, im_info=[[64, 80, 1, 1, 1, 1]]).forward()
    count = len(tested.blobs["rois"].data)
    assert 0 < count <= 9 and tested.blobs["scores"].shape == (count,)
    assert tested.blobs["cls_score"].shape == (count, 3)


SSD_HEAD = "".join([
    input_layer("data", 2, 3, 12, 16), conv("conv", "data", 4),
    layer("conv_norm", "Normalize", "conv", None, "norm_param { across_spatial: false "
          'scale_filler { type: "constant" value: 20 } channel_shared: false }'),
    conv("loc", "conv_norm", 12), conv("conf", "conv_norm", 9),
    *(layer(f"{name}_perm", "Permute", name, None,
            "permute_param { order: 0 order: 2 order: 3 order: 1 }")
      + layer(f"{name}_flat", "Flatten", f"{name}_perm") for name in ("loc", "conf")),
    layer("priors", "PriorBox", "conv_norm data", None,
          "prior_box_param { min_size: 4.0 max_size: 8.0 aspect_ratio: 2.0 flip: false clip: "
          "false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5 }"),
    layer("conf_rows", "Reshape", "conf_flat", None,
          "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }"),
    layer("conf_softmax", "Softmax", "conf_rows", None, "softmax_param { axis: 2 }"),
    layer("conf_out", "Flatten", "conf_softmax"),
    layer("detection_out", "DetectionOutput", "loc_flat conf_out priors", None,
          "include { phase: TEST } detection_output_param { num_classes: 3 share_location: true "
          "background_label_id: 0 nms_param { nms_threshold: 0.45 top_k: 400 } save_output_param { "
          'label_map_file: "map.prototxt" } code_type: CENTER_SIZE keep_top_k: 10 '
          "confidence_threshold: 0.01 }")])


def test_an_ssd_net_detects():
    detections = feed(net(SSD_HEAD, phase=caffe.TEST)).forward()["detection_out"]
    assert detections.shape == (1, 1, 20, 7)
    image, label, confidence = detections[0, 0, :, :3].T
    assert image.tolist() == [0] * 10 + [1] * 10 and set(label) <= {1, 2}
    assert (confidence > 0.01).all()


def test_an_ssd_net_learns():
    objects = np.full((2, 8), -1.0)
    objects[0] = [0, 1, 0, 0.1, 0.1, 0.5, 0.6, 0]
    p = pb.SolverParameter(base_lr=0.01, lr_policy="fixed")
    p.net_param.CopyFrom(prototxt.read_net_text(
        SSD_HEAD + input_layer("label", 1, 1, 2, 8)
        + layer("mbox_loss", "MultiBoxLoss", "loc_flat conf_flat priors label", None,
                "include { phase: TRAIN } propagate_down: true propagate_down: true "
                "propagate_down: false propagate_down: false loss_param { normalization: VALID } "
                "multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE }")
        + layer("silence", "Silence", "conf_out", "")))
    solver = caffe.SGDSolver(p)
    feed(solver.net, label=objects)
    solver.step(1)
    first = solver.last_loss
    solver.step(20)
    assert 0 < solver.last_loss < first / 2


def test_net_specs_know_the_types():
    from caffe import layers as L
    from caffe import params as P
    spec = caffe.NetSpec()
    spec.data = L.Input(shape={"dim": [1, 3, 8, 8]})
    spec.norm = L.Normalize(spec.data, scale_filler={"value": 20}, across_spatial=False)
    spec.priors = L.PriorBox(spec.norm, spec.data, min_size=[2.0], clip=True)
    spec.out = L.DetectionOutput(spec.norm, spec.norm, spec.priors, num_classes=3,
                                 code_type=P.PriorBox.CENTER_SIZE)
    _, norm, priors, out = spec.to_proto().layer
    assert norm.norm_param.scale_filler.value == 20 and list(priors.prior_box_param.min_size) == [2]
    assert out.detection_output_param.code_type == pb.PriorBoxParameter.CENTER_SIZE


def test_segnet_puts_values_back_where_it_pooled_them():
    trained = net(
        "force_backward: true ", input_layer("data", 1, 2, 4, 6),
        layer("bn", "BN", "data", None, "bn_param { scale_filler { value: 1 } shift_filler { "
                                        "value: 0.001 } }"),
        layer("pool", "Pooling", "bn", "pool mask", "pooling_param { pool: MAX kernel_size: 2 "
                                                    "stride: 2 }"),
        layer("up", "Upsample", "pool mask", None, "upsample_param { scale: 2 }"))
    feed(trained).forward()
    up, bn = trained.blobs["up"].data, trained.blobs["bn"].data
    assert (up != 0).sum() == 12 and set(up[up != 0]) <= set(bn.ravel())
    trained.blobs["up"].diff[...] = 1
    trained.backward()
    np.testing.assert_array_equal(trained.blobs["bn"].diff, up != 0)


def test_pspnet_statistics_are_kept_in_the_weights(tmp_path):
    text = (input_layer("data", 2, 3, 4, 4), layer("bn", "BN", "data", None, "bn_param { "
            "slope_filler { value: 1 } bias_filler { value: 0 } momentum: 0.5 }"))
    trained = feed(net(*text))
    trained.forward()
    trained.save(tmp_path / "w")
    tested = net(*text, phase=caffe.TEST)
    tested.copy_from(tmp_path / "w")
    mean = trained.blobs["data"].data.mean((0, 2, 3))
    np.testing.assert_allclose(tested.params["bn"][2].data.ravel(), mean / 2, rtol=1e-4, atol=1e-6)


# -- weights


def fork_layer(name, blobs, *extra):
    """A layer message of a fork: name, type and blobs as everywhere, and fields of its own."""
    own = pb.LayerParameter(name=name, type="PSROIPooling", blobs=[
        pb.BlobProto(data=blob.ravel(), shape=pb.BlobShape(dim=blob.shape)) for blob in blobs])
    return b"".join(wire.sized(100, own.SerializeToString(), *extra))


CLASHING = [wire.sized(147, wire.integer(1, 7), wire.number(3, 0.0625)),  # ROIPooling; ours: Swish
            wire.text(150, "no message of ours"), wire.integer(200, 5), wire.number(139, 0.5),
            wire.sized(106, b"\xff\xff\xff")]
UNKNOWN = [wire.integer(41, 1), wire.sized(9000, b"\xff")]


def test_weights_with_clashing_field_numbers_fill_a_net_by_layer_name(tmp_path, caplog):
    rng = np.random.default_rng(0)
    weight, bias = (rng.normal(size=s).astype(np.float32) for s in ((2, 3), (2,)))
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(b"".join(wire.text(1, "fork")) + fork_layer("other", [], *CLASHING)
                     + b"".join(wire.sized(77, b"\xff"))
                     + fork_layer("fc", [weight, bias], *CLASHING, *UNKNOWN))
    loaded = net(input_layer("data", 1, 3), fc("fc", "data", 2))
    with caplog.at_level("INFO", "caffe"):
        report = loaded.copy_from(path)
    assert report.copied == ["fc"]
    assert np.array_equal(loaded.params["fc"][0].data, weight)
    assert np.array_equal(loaded.params["fc"][1].data, bias)
    notes = [r.getMessage() for r in caplog.records if "unknown layer fields" in r.getMessage()]
    assert len(notes) == 1 and notes[0].endswith(": 41, 9000")


def test_weights_without_strange_fields_say_nothing(tmp_path, caplog):
    (tmp_path / "w").write_bytes(fork_layer("fc", [np.ones(2, np.float32)]))
    with caplog.at_level("INFO", "caffe"):
        assert list(weights.read_weights(tmp_path / "w")) == ["fc"]
    assert not caplog.records
