"""An SSD of a few convolutions: two maps with prior boxes, softmax, DetectionOutput."""

CONV = """layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  convolution_param {{ num_output: {outputs} kernel_size: {kernel} pad: {pad} stride: {stride}
    weight_filler {{ type: "msra" }} }} }}
"""
RELU = 'layer {{ name: "relu_{0}" type: "ReLU" bottom: "{0}" top: "{0}" }}\n'
PRIORS = """layer {{ name: "{0}_priors" type: "PriorBox" bottom: "{0}" bottom: "data"
  top: "{0}_priors" prior_box_param {{ min_size: {1} max_size: {2} aspect_ratio: 2 flip: true
    clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }} }}
"""
FLAT = """layer {{ name: "{0}_perm" type: "Permute" bottom: "{0}" top: "{0}_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{0}_flat" type: "Flatten" bottom: "{0}_perm" top: "{0}_flat"
  flatten_param {{ axis: 1 }} }}
"""
JOIN = """layer {{ name: "{0}" type: "Concat" bottom: "one_{1}" bottom: "two_{1}" top: "{0}"
  concat_param {{ axis: {2} }} }}
"""
END = """layer {{ name: "conf" type: "Reshape" bottom: "mbox_conf" top: "conf"
  reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }} }}
layer {{ name: "softmax" type: "Softmax" bottom: "conf" top: "softmax"
  softmax_param {{ axis: 2 }} }}
layer {{ name: "softmax_flat" type: "Flatten" bottom: "softmax" top: "softmax_flat"
  flatten_param {{ axis: 1 }} }}
layer {{ name: "detection_out" type: "DetectionOutput" bottom: "mbox_loc" bottom: "softmax_flat"
  bottom: "mbox_priorbox" top: "detection_out" detection_output_param {{ num_classes: {classes}
    share_location: true background_label_id: 0 nms_param {{ nms_threshold: 0.45 top_k: 100 }}
    code_type: CENTER_SIZE keep_top_k: 50 confidence_threshold: 0.05 }} }}
"""


def net_text(classes=3, side=64):
    """The prototxt of the test net for pictures stretched to side x side."""
    text = ('name: "small_ssd"\ninput: "data"\n'
            f"input_shape {{ dim: 1 dim: 3 dim: {side} dim: {side} }}\n")
    for name, bottom, outputs in (("base", "data", 8), ("one", "base", 16), ("two", "one", 16)):
        text += CONV.format(name=name, bottom=bottom, outputs=outputs, kernel=3, pad=1, stride=2)
        text += RELU.format(name)
    for name, smallest, largest in (("one", 12, 20), ("two", 20, 36)):
        for head, each in (("loc", 4), ("conf", classes)):
            text += CONV.format(name=f"{name}_{head}", bottom=name, outputs=4 * each, kernel=3,
                                pad=1, stride=1) + FLAT.format(f"{name}_{head}")
        text += PRIORS.format(name, smallest, largest)
    joins = (("mbox_loc", "loc_flat", 1), ("mbox_conf", "conf_flat", 1),
             ("mbox_priorbox", "priors", 2))
    return text + "".join(JOIN.format(*join) for join in joins) + END.format(classes=classes)
