"""The two nets and the solver of `faster_rcnn_nonapprox` (non-approximate joint training).

As in joint.py, but the boxes that the RPN proposes stay in the graph: the detector's losses teach
rpn_bbox_pred where to put them, through a RoI operator that is differentiable in its boxes (Ren et
al. 2015, section 3.2, leave it for later; Dai et al. 2016, MNC, do it by RoI warping). R-FCN has no
such nets: PSROIPooling rounds its rois, so nothing flows back to their corners.
"""
from functools import partial

from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.methods import detector, joint
from faster_rcnn.networks.methods.detector import Files

METHOD = "faster_rcnn_nonapprox"
# The most that an entry of the boxes' gradient may be: about 1 / 256, an anchor's weight in the
# RPN's own loss. Otherwise the detector drives boxes off the objects, which lowers its losses and
# ruins the proposals.
MAX_GRADIENT = 0.0039


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    backbone = joint.aligned(joint.published(backbone))
    train = partial(joint.train, backbone, targets={"differentiable": True},
                    proposal={"differentiable": True, "max_gradient": MAX_GRADIENT})
    return {"train.prototxt": train,
            "test.prototxt": partial(detector.detection_net, backbone),
            "solver.prototxt": partial(joint.solver, backbone, METHOD)}
