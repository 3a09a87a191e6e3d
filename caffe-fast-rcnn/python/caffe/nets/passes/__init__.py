"""Forward and backward passes that do no more than they must.

    whole_pass.py   a pass through all layers of a net, and what it leaves out
    silent.py       branches that end in Silence
    frozen.py       frozen layers whose results are kept for each image
    recompute.py    activations that are dropped, and computed again in backward
    factors.py      which layers of a net of bf16 multiply in bf16

Belongs here: which layers of a net run when, and with what numbers. But for bf16 results are the
same to the last bit, and every blob can be read as ever. May import: core,
layer_types.common, runners, nets.plan.
"""
