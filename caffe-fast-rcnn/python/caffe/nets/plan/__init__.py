"""How a test net runs as fast as it can: layers fused into the convolutions before them.

    folding.py    numbers: BatchNorm, Scale and Bias multiplied into weights
    chains.py     which layers of a net can be carried out by the convolution before them
    kernels.py    a convolution or product with packed weights and all that was fused into it
    steps.py      a chain at work on the net's blobs
    joining.py    chains that write into the top of the Concat that reads them
    thinning.py   pixels that nobody reads, and that are not computed
    absent.py     the blobs that a pass leaves out or lets go, computed when somebody reads them
    stretches.py  steps that run as one, recorded and replayed (recording.py)
    learnables.py whether the learnable blobs are as the plan has seen them
    planner.py    the plan of a net: when it holds, and when it is made anew

Belongs here: what is decided once and used in every later pass. The layers say what is computed
(layer_types); a plan computes the same numbers but for their last digits. May import: core,
operators, layer_types, runners.
"""
