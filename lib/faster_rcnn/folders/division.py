"""Pictures divided into training and test: stratified by class, alike ones on one side."""
import numpy as np

SHARE, SEED = 0.2, 3


def divide(counts: np.ndarray, groups: np.ndarray, share: float = SHARE,
           seed: int = SEED) -> np.ndarray:
    """Which of N pictures are for the test, (N,) bool.

    counts: (N, K) objects per class; groups: (N,) numbers, pictures of one group stay together.
    Every class, from the rarest on, is shared out in proportion; each group goes where more
    pictures with the class are still wanted (Sechidis et al. 2011, "On the stratification of
    multi-label data", with groups for examples). A class of a single group is trained on. Both
    sides get a picture where there are two groups.
    """
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    # the last column: every picture counts, so that the sides have the right size
    table = np.zeros((len(sizes), counts.shape[1] + 1))
    np.add.at(table, index, np.hstack([counts > 0, np.ones((len(counts), 1))]))
    side = np.full(len(sizes), -1)
    wanted = np.outer([1 - share, share], table.sum(axis=0))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    spread = (table > 0).sum(axis=0)
    for column in np.argsort(spread, kind="stable"):
        for group in order[(side[order] < 0) & (table[order, column] > 0)]:
            side[group] = _side(wanted, column)
            wanted[side[group]] -= table[group]
    _fill(side, sizes, table)
    return side[index] == 1


def _side(wanted: np.ndarray, column: int) -> int:
    """0 or 1: where more of a column is wanted; where equally much, more pictures."""
    first, second = wanted[:, column]
    if first == second:
        first, second = wanted[:, -1]
    return int(second > first)


def _fill(side: np.ndarray, sizes: np.ndarray, table: np.ndarray) -> None:
    """Moves the smallest group to a side that has none, in place; every class that two groups have
    is then tested where that leaves training examples.
    """
    for empty in (0, 1):
        if len(side) > 1 and not (side == empty).any():
            side[np.argmin(sizes)] = empty
    for column in range(table.shape[1] - 1):
        holders = np.flatnonzero(table[:, column])
        if len(holders) < 2 or len(set(side[holders])) == 2:
            continue
        moved = holders[np.argmin(sizes[holders])]
        left = (side == side[moved]).sum()
        if left > 1:
            side[moved] = 1 - side[moved]
