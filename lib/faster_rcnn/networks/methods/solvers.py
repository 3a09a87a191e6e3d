"""The text of a solver, with the published numbers where there are any."""
from faster_rcnn.networks.backbones.description import Backbone

TEXT = """\
train_net: "{train_net}"

base_lr: {base_lr}
lr_policy: "step"
gamma: 0.1
stepsize: {stepsize}
{max_iter}display: 20
average_loss: 100
{iter_size}momentum: 0.9
weight_decay: 0.0005

# fast_rcnn.train writes the snapshots, with bbox_pred un-normalised, instead of the solver;
# their names start with the prefix.
snapshot: 0
snapshot_prefix: "{prefix}"
"""


def solver_text(backbone: Backbone, net: str, prefix: str, stepsize: int,
                max_iter: int | None = None, iter_size: int = 1) -> str:
    """Text of a solver.

    net: path of its net below the backbone's folder; prefix: of snapshots, behind the backbone's;
    stepsize: iterations between drops of the rate; max_iter: None leaves it out, the number of
    iterations is then for the caller to know; iter_size: images per update.
    """
    return TEXT.format(
        train_net=f"models/{backbone.data_set.folder}/{backbone.folder}/{net}",
        base_lr=backbone.base_lr, stepsize=stepsize, prefix=f"{backbone.prefix}_{prefix}",
        max_iter=f"max_iter: {max_iter}\n" if max_iter else "",
        iter_size=f"iter_size: {iter_size}\n" if iter_size > 1 else "")
