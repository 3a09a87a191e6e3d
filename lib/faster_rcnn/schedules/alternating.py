"""Faster R-CNN by alternating optimisation: a table of six steps.

Ren et al. 2015, section 3.2, "4-step alternating training"; files and settings of py-faster-rcnn's
tools/train_faster_rcnn_alt_opt.py.
"""
from faster_rcnn.schedules.tables import Kind, Schedule, Stage, Step

METHOD = "faster_rcnn_alt_opt"
# Settings of the three kinds of step
RPN = {"TRAIN": {"HAS_RPN": True, "BBOX_REG": False, "PROPOSAL_METHOD": "gt", "IMS_PER_BATCH": 1}}
PROPOSALS = {"TEST": {"RPN_PRE_NMS_TOP_N": -1, "RPN_POST_NMS_TOP_N": 2000}}
FAST_RCNN = {"TRAIN": {"HAS_RPN": False, "PROPOSAL_METHOD": "rpn", "IMS_PER_BATCH": 2}}

STAGES = (
    Stage("stage1_rpn_solver60k80k.pt", 80000),
    Stage("stage1_fast_rcnn_solver30k40k.pt", 40000),
    Stage("stage2_rpn_solver60k80k.pt", 80000),
    Stage("stage2_fast_rcnn_solver30k40k.pt", 40000),
)
RPN_1, FAST_1, RPN_2, FAST_2 = (stage.solver for stage in STAGES)
STEPS = (
    Step("stage1_rpn", "stage1", RPN_1, RPN, None, None, "Stage 1 RPN, init from ImageNet model"),
    Step("stage1_proposals", "stage1", "rpn_test.pt", PROPOSALS, "stage1_rpn", None,
         "Stage 1 RPN, generate proposals", Kind.PROPOSALS),
    Step("stage1_fast_rcnn", "stage1", FAST_1, FAST_RCNN, None, "stage1_proposals",
         "Stage 1 Fast R-CNN using RPN proposals, init from ImageNet model"),
    Step("stage2_rpn", "stage2", RPN_2, RPN, "stage1_fast_rcnn", None,
         "Stage 2 RPN, init from stage 1 Fast R-CNN model"),
    Step("stage2_proposals", "stage2", "rpn_test.pt", PROPOSALS, "stage2_rpn", None,
         "Stage 2 RPN, generate proposals", Kind.PROPOSALS),
    Step("stage2_fast_rcnn", "stage2", FAST_2, FAST_RCNN, "stage2_rpn", "stage2_proposals",
         "Stage 2 Fast R-CNN, init from stage 2 RPN R-CNN model"),
)
FASTER_RCNN = Schedule("faster_rcnn", "alt_opt", METHOD, STEPS, STAGES,
                       ("rpn_test.pt", "faster_rcnn_test.pt"), result="stage2_fast_rcnn")
