"""Checks of recorded cases of py-faster-rcnn: what a case holds, how numbers are compared.

A module of this package handles some groups (families of tests/golden/pfr): functions of a Case,
marked `@check("group")`. The test finds all modules by itself.
"""
import golden
import numpy as np

CHECKS = {}         # group -> function of a Case


def check(group):
    """Marks a function of a Case as the check of all cases in tests/golden/pfr/<group>.zip."""
    def add(function):
        assert group not in CHECKS, f"two checks of {group}"
        CHECKS[group] = function
        return function
    return add


class Case(dict):
    """The arrays of a case by name; `meta` is its description, `tolerance` absolute, relative."""

    def __init__(self, name: str):
        self.meta, arrays = golden.read_case(name)
        super().__init__(arrays)
        self.tolerance = self.meta.get("tol_abs", 0.0), self.meta.get("tol_rel", 0.0)

    def image(self, index):
        """Image `index` of the case, (h, w, 3) uint8, blue green red, not mirrored."""
        file = self.meta["images"][index]["file"]
        return golden.read_arrays(f"pfr/{file.removesuffix('.npz')}")["bgr"]


def near(got, want, absolute=0.0, relative=0.0, what=""):
    """Equal shapes, and every value within absolute + relative * |want| (nan equals nan)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=relative,
                               atol=absolute, err_msg=what)


def overrides(case):
    """The case's options as arguments of cfg_override."""
    return case.meta.get("cfg_overrides", {})
