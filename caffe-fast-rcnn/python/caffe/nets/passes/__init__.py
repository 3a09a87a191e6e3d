"""Forward and backward passes that do no more than they must.

    whole_pass.py   a pass through all layers of a net, and what it leaves out
    silent.py       branches that end in Silence
    frozen.py       frozen layers whose results are kept for each image
    recompute.py    activations that are dropped, and computed again in backward

Belongs here: which layers of a net run when. Results are the same to the last bit, and every blob
can be read as ever. May import: core, runners, nets.plan.
"""
