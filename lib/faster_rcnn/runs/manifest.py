"""The record of a schedule: which steps are finished, from what, into what, with which figures.

One JSON file beside the results, rewritten atomically after every change:

    {"steps": {"stage1_rpn": {"inputs": {...}, "finished": true, "output": "file name",
                              "output_hash": "...", "figures": {...}}, ...}}

`inputs` holds a hash per input (weights, prototxts, settings, data set ...). A step counts as done
when its recorded inputs equal the present ones and its output file is still what was recorded. Of
several processes (processes.py) all keep the record, and the first writes it.
"""
import json
import os

from faster_rcnn.files.atomic import file_hash, write_json
from faster_rcnn.runs import processes


class Manifest:
    """The steps recorded in the file `path`; with `keep` false a fresh record is begun."""

    def __init__(self, path, keep):
        self.path = path
        self.steps = self._read() if keep and os.path.exists(path) else {}

    def difference(self, name, inputs):
        """What hinders a recorded step from counting as done; None when nothing does."""
        step = self.steps.get(name)
        if step is None or not step.get("finished"):
            return "not finished"
        changed = self.changed_inputs(name, inputs)
        if changed:
            return "changed: " + ", ".join(changed)
        output = os.path.join(os.path.dirname(self.path), step["output"])
        if not os.path.exists(output):
            return f"{step['output']} is gone"
        if file_hash(output) != step["output_hash"]:
            return f"{step['output']} is not the file that the step wrote"
        return None

    def changed_inputs(self, name, inputs):
        """Names of the inputs that differ from those the step was started with."""
        recorded = self.steps.get(name, {}).get("inputs", {})
        return [key for key in sorted({*inputs, *recorded})
                if recorded.get(key) != inputs.get(key)]

    def output(self, name):
        """Path of the file that a finished step wrote."""
        return os.path.join(os.path.dirname(self.path), self.steps[name]["output"])

    def begin(self, name, inputs):
        """Records that a step is under way from `inputs`."""
        processes.wait()            # the others may still be reading the record
        self.steps[name] = {"inputs": inputs, "finished": False}
        self._write()

    def finish(self, name, output, figures):
        """Records that a step wrote the file `output` (in the manifest's folder)."""
        processes.wait()            # until it is written
        self.steps[name].update(finished=True, output=os.path.basename(output),
                                output_hash=file_hash(output), figures=figures)
        self._write()

    def _read(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return dict(json.load(file)["steps"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is not a schedule's record ({error}); remove it to "
                             "start over") from None

    def _write(self):
        if processes.is_first():
            write_json(self.path, {"steps": self.steps})
