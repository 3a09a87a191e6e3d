"""Settings of py-faster-rcnn's descendants that have no effect here, and what to use instead.

Configurations of these projects can be used as they are: such a key is a warning, while any other
unknown key is an error. The keys are those of tf-faster-rcnn, CTPN, FPN, MNC, bottom-up-attention,
scene-graph and SubCNN that py-faster-rcnn does not have.
"""
from typing import Any

_SOLVER = "the solver's prototxt says it"
_PROTOTXT = "the net's prototxt says it"
_MASKS = "there are no masks here"
_RELATIONS = "attributes and relations of objects are not learned here"

# dotted key -> what to use here, or why there is nothing
FORK_KEYS = {
    **dict.fromkeys((
        "TRAIN.LEARNING_RATE", "TRAIN.MOMENTUM", "TRAIN.WEIGHT_DECAY", "TRAIN.GAMMA",
        "TRAIN.STEPSIZE", "TRAIN.SOLVER", "TRAIN.DISPLAY", "TRAIN.DISPLAY_FREQ",
        "TRAIN.SNAPSHOT_PREFIX"), _SOLVER),
    **dict.fromkeys((
        "TRAIN.BIAS_DECAY", "TRAIN.DOUBLE_BIAS"), "decay_mult and lr_mult in the prototxt say it"),
    **dict.fromkeys((
        "TRAIN.TRUNCATED", "POOLING_MODE", "POOLING_SIZE", "RPN_CHANNELS", "RESNET", "MOBILENET",
        "TRAIN.KERNEL_SIZE", "NCLASSES", "NET_NAME", "IS_RPN", "TRAIN.IMAGE_STRIDE",
        "TRAIN.FORMAT", "TEST.FORMAT"), _PROTOTXT),
    **dict.fromkeys(("FPNRATIOS", "FPNRSCALES", "TRAIN.ASPECTS"),
                    "ANCHOR_RATIOS and ANCHOR_SCALES, or the prototxt, say it"),
    "TRAIN.SCALES_BASE": "use TRAIN.SCALES",
    "TRAIN.SNAPSHOT_KEPT": "all snapshots are kept",
    "TRAIN.SNAPSHOT_FREQ": "use TRAIN.SNAPSHOT_ITERS",
    "TRAIN.SUMMARY_INTERVAL": "use TRAIN.CURVE_ITERS",
    "TRAIN.SUMMARY_FREQ": "use TRAIN.CURVE_ITERS",
    "TRAIN.LOG_IMAGE_ITERS": "use TRAIN.PICTURE_ITERS",
    "TRAIN.USE_GT": "annotated boxes are always among the training rois",
    "TRAIN.OHEM": "use TRAIN.USE_OHEM",
    "TRAIN.RANDOM_DOWNSAMPLE": "use TRAIN.SCALE_JITTER",
    "TRAIN.PRECLUDE_HARD_SAMPLES": "difficult objects are left out as the data set's card says",
    "TRAIN.DONTCARE_AREA_INTERSECTION_HI": "there are no areas to ignore but COCO's crowds",
    "TRAIN.max_steps": "use --iters",
    "TRAIN.restore": "use --resume",
    "TEST.checkpoints_path": "use --net",
    "TEST.MODE": "proposals are chosen by NMS",
    "TEST.RPN_TOP_N": "use TEST.RPN_POST_NMS_TOP_N",
    "TEST.DETECT_MODE": "detections are rectangles",
    "USE_E2E_TF": "nothing here runs in TensorFlow",
    "LOG_DIR": "use EXP_DIR",
    "REGION_PROPOSAL": "use TRAIN.PROPOSAL_METHOD",
    **dict.fromkeys(("IS_EXTRAPOLATING", "IS_MULTISCALE"), "use TRAIN.SCALES"),
    **dict.fromkeys(("SUBCLS_NAME", "TRAIN.SUBCLS", "TRAIN.VIEWPOINT", "TRAIN.ROI_THRESHOLD"),
                    "there are no subclasses here"),
    **dict.fromkeys((
        "BINARIZE_THRESH", "CFM_MODE", "MASK_SIZE", "MNC_MODE", "TEST.CFM_INPUT_MASK_SIZE",
        "TEST.GROUP_SCALE", "TEST.MASK_MERGE_IOU_THRESH", "TEST.MASK_MERGE_NMS_THRESH",
        "TEST.MAX_ROIS_GPU", "TEST.USE_GPU_MASK_MERGE", "TEST.USE_MASK_MERGE",
        "TEST.USE_TOP_K_MCG", "TRAIN.BG_FRACTION", "TRAIN.CFM_INPUT_MASK_SIZE",
        "TRAIN.FG_DET_THRESH", "TRAIN.FG_SEG_THRESH", "TRAIN.FG_THRESH_HI", "TRAIN.FG_THRESH_LO",
        "TRAIN.FRACTION_SAMPLE", "TRAIN.MIX_INDEX", "TRAIN.THRESH_HI_SAMPLE",
        "TRAIN.THRESH_LO_SAMPLE"), _MASKS),
    **dict.fromkeys((
        "TRAIN.HAS_ATTRIBUTES", "TRAIN.HAS_RELATIONS", "TRAIN.MIN_RELATION_FRACTION",
        "TEST.HAS_ATTRIBUTES", "TEST.HAS_RELATIONS", "TRAIN.NUM_NEG_RELS", "TRAIN.USE_RPN_DB",
        "TRAIN.BBOX_TARGET_NORMALIZATION_FILE", "TEST.FG_THRESH", "TEST.NUM_PROPOSALS",
        "TEST.PROPOSAL_NMS", "TEST.USE_RPN_DB", "VG_DIR"), _RELATIONS),
}

# dotted key -> {a value that a descendant gives it: the value here}
FORK_VALUES: dict[str, dict[Any, Any]] = {
    "TEST.SOFT_NMS": {0: "", 1: "linear", 2: "gaussian", "0": "", "1": "linear", "2": "gaussian"},
}


def value_here(path: str, value: Any) -> Any:
    """The value of a setting in the words of this project."""
    is_plain = isinstance(value, (int, str)) and not isinstance(value, bool)
    return FORK_VALUES.get(path, {}).get(value, value) if is_plain else value
