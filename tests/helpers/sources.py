"""The modules of the engine and of the detector, as files: nothing is imported."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE, DETECTOR = ROOT / "caffe-fast-rcnn" / "python", ROOT / "lib"
# Packages with the original's names: layers of prototxts, and one-line modules
ORIGINAL = ("datasets", "fast_rcnn", "nms", "roi_data_layer", "rpn", "transform", "utils")
FOLDERS = {"caffe": ENGINE, "faster_rcnn": DETECTOR, **dict.fromkeys(ORIGINAL, DETECTOR)}


def sources(top: str) -> dict[str, Path]:
    """{dotted name: path} of all modules and packages below a top package, itself included."""
    found = {}
    for path in sorted((FOLDERS[top] / top).rglob("*.py")):
        parts = path.relative_to(FOLDERS[top]).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
