"""How a detector is exported."""
from dataclasses import dataclass

from caffe.core.errors import InputError
from caffe.export.layers.graph import Form
from faster_rcnn.detection.options import PLAIN, TestOptions


@dataclass(frozen=True)
class ExportOptions:
    """What an exported detector does besides its layers.

    test: the settings of its test; classes: their names, the background first
    thresh: detections score above this; max_per_image: the most of them, 0: all
    prepares_image: the file takes a picture of any size; otherwise the net's input blobs
    """

    test: TestOptions
    classes: tuple[str, ...]
    thresh: float = 0.05
    max_per_image: int = 100
    prepares_image: bool = True
    form: Form = Form(free_sizes=True)

    def __post_init__(self) -> None:
        """Refuses settings without a form in ONNX: InputError."""
        if self.test.refinement != PLAIN:
            raise InputError("soft NMS and box voting (TEST.SOFT_NMS, TEST.BBOX_VOTE) have no ONNX "
                             "form; export with the usual NMS")
        if len(self.test.scales) != 1:
            raise InputError("an exported detector sees a picture at one scale; TEST.SCALES holds "
                             f"{list(self.test.scales)}")
