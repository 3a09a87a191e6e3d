"""R-FCN by alternating optimisation in five stages: RPN, R-FCN, RPN, R-FCN, RPN.

Dai et al. 2016; files and settings of py-R-FCN's tools/train_rfcn_alt_opt_5stage.py.
"""
from faster_rcnn.schedules.tables import Kind, Schedule, Stage, Step

METHOD = "rfcn_alt_opt_5step_ohem"
# Settings of the four kinds of step
RPN = {"TRAIN": {"HAS_RPN": True, "BBOX_REG": False, "PROPOSAL_METHOD": "gt", "IMS_PER_BATCH": 1}}
STATISTICS = RPN
PROPOSALS = {"TEST": {"RPN_PRE_NMS_TOP_N": 6000, "RPN_POST_NMS_TOP_N": 300}}
RFCN = {"TRAIN": {"HAS_RPN": False, "PROPOSAL_METHOD": "rpn", "IMS_PER_BATCH": 1}}

STAGES = (
    Stage("stage1_rpn_solver60k80k.pt", 80000),
    Stage("stage1_rfcn_ohem_solver80k120k.pt", 120000),
    Stage("stage2_rpn_solver60k80k.pt", 80000),
    Stage("stage2_rfcn_ohem_solver80k120k.pt", 120000),
    Stage("stage3_rpn_solver60k80k.pt", 80000),
)
RPN_1, RFCN_1, RPN_2, RFCN_2, RPN_3 = (stage.solver for stage in STAGES)
STEPS = (
    Step("stage0_statistics", "stage0", "rpn_test.pt", STATISTICS, None, None,
         "Stage 0 RPN, compute normalization means and stds", Kind.STATISTICS),
    Step("stage1_rpn", "stage1", RPN_1, RPN, None, None, "Stage 1 RPN, init from ImageNet model"),
    Step("stage1_proposals", "stage1", "rpn_test.pt", PROPOSALS, "stage1_rpn", None,
         "Stage 1 RPN, generate proposals", Kind.PROPOSALS),
    Step("stage1_rfcn", "stage1", RFCN_1, RFCN, None, "stage1_proposals",
         "Stage 1 R-FCN using RPN proposals, init from ImageNet model"),
    Step("stage2_rpn", "stage2", RPN_2, RPN, "stage1_rfcn", None,
         "Stage 2 RPN, init from stage1 R-FCN model"),
    Step("stage2_proposals", "stage2", "rpn_test.pt", PROPOSALS, "stage2_rpn", None,
         "Stage 2 RPN, generate proposals", Kind.PROPOSALS),
    Step("stage2_rfcn", "stage2", RFCN_2, RFCN, None, "stage2_proposals",
         "Stage 2 R-FCN using Stage-2 RPN proposals, init from ImageNet model"),
    Step("stage3_rpn", "stage3", RPN_3, RPN, "stage2_rfcn", None,
         "Stage 3 RPN, init from stage2 R-FCN model"),
    Step("stage3_test_proposals", "stage3", "rpn_test.pt", PROPOSALS, "stage3_rpn", None,
         "Stage 3 RPN, generate test proposals only", Kind.TEST_PROPOSALS),
)
RFCN_5_STAGES = Schedule("rfcn", "rfcn_alt_opt", METHOD, STEPS, STAGES,
                         ("rpn_test.pt", "rfcn_test.pt"), result="stage2_rfcn")
