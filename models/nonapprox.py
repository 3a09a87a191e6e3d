"""The two nets and the solver of `faster_rcnn_nonapprox` (non-approximate joint training).

As in joint.py, but the boxes that the RPN proposes stay in the graph: the detector's losses teach
rpn_bbox_pred where to put them, through a RoI operator that is differentiable in its boxes (Ren et
al. 2015, section 3.2, leave it for later; Dai et al. 2016, MNC, do it by RoI warping).
"""
import detector
import joint

METHOD = "faster_rcnn_nonapprox"


def files(backbone):
    """File name -> solver text, or (NetParameter, {layer name: comment above it})."""
    return joint.nets_and_solver(joint.published(backbone), METHOD, detector.roi_align,
                                 differentiable=True)
