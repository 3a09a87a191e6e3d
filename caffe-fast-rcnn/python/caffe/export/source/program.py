"""A part of a net as a program of torch.export (.pt2), by way of its PyTorch source."""
import io
from typing import Any

import torch

from caffe.core.errors import LayerError
from caffe.core.types import FilePath
from caffe.export.part import Part
from caffe.export.source.writing import source_of, text_of
from caffe.files.atomic import write_bytes
from caffe.nets.net import Net

# Pieces whose loops depend on the numbers in a tensor, and the layers that use them
_LOOPS = {"roi_pool": "ROIPooling", "roi_align": "ROIAlign", "sensitive_roi_pool": "PSROIPooling",
          "propose": "proposals"}


def module_of(net: Net, part: Part) -> torch.nn.Module:
    """The module of a part's PyTorch source with its weights, in evaluation mode."""
    made = source_of(net, part)
    loops = [word for piece, word in _LOOPS.items() if piece in made.pieces]
    if loops:
        raise LayerError(f"{loops[0]} look at each region by itself, which torch.export cannot "
                         "follow; export what lies before them (--end), or a .py or .onnx")
    namespace: dict[str, Any] = {"__file__": "source.py"}
    # names of the net are Python names or literals there: see Names and text_of
    exec(text_of(made, "", "A net."), namespace)
    module = namespace[made.name]()
    module.load_state_dict(made.tensors)
    return module.eval()


def write_program(net: Net, part: Part, path: FilePath) -> None:
    """Writes a part of a net for torch.export.load, for inputs of the sizes that it has now.

    LayerError for layers that have no source, or that torch.export cannot follow.
    """
    inputs = tuple(torch.zeros(net.blobs[name].shape) for name in part.inputs)
    program = torch.export.export(module_of(net, part), inputs)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_bytes(path, buffer.getvalue())
