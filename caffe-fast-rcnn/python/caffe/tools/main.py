"""The command `caffe` (Caffe: tools/caffe.cpp), also `python -m caffe`."""
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from caffe.core.errors import suggest
from caffe.tools.command import Flags, UsageError, run_tool

USAGE = """usage: caffe COMMAND [FLAGS]

  train           train or finetune a model
  test            score a model
  device_query    show GPU diagnostic information
  time            benchmark model execution time

  -solver FILE          train: the solver prototxt
  -snapshot FILE        train: continue from this .solverstate
  -model FILE           test, time: the model prototxt
  -weights FILE[,FILE]  train, test: weights to start from, or to test
  -gpu N[,N]|all        GPUs; train uses them all, each with a batch of its own
                        [none: the CPU, or for train as the solver prototxt says]
  -iterations N         test, time: how many [50]
  -phase NAME           time: TRAIN or TEST [TRAIN]
  -level N, -stage A,B  which layers the model has (NetState)
  -sigint_effect NAME   train: what SIGINT (Ctrl-C) does after the running iteration: stop, snapshot
                        or none [stop]
  -sighup_effect NAME   and SIGHUP [snapshot]

or caffe TOOL ... for one of Caffe's other tools; `caffe TOOL -help` says more:
  """
FLAGS = {"gpu": "", "solver": "", "model": "", "phase": "", "level": 0, "stage": "",
         "snapshot": "", "weights": "", "iterations": 50, "sigint_effect": "stop",
         "sighup_effect": "snapshot"}
# command -> module and function of its work(flags)
COMMANDS = {"train": ("train", "train"), "test": ("score", "score"),
            "device_query": ("flags", "device_query"), "time": ("benchmark", "benchmark")}
# tool -> module and function of its main(argv)
TOOLS = {"compute_image_mean": ("compute_image_mean", "main"),
         "convert_imageset": ("convert_imageset", "main"),
         "extract_features": ("extract_features", "main"),
         "upgrade_net_proto_binary": ("upgrade_proto", "net_binary"),
         "upgrade_net_proto_text": ("upgrade_proto", "net_text"),
         "upgrade_solver_proto_text": ("upgrade_proto", "solver_text")}


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit status: 0, 1 after the usage, 2 with one line."""
    if argv and argv[0] in TOOLS:
        return _function(*TOOLS[argv[0]])(argv[1:])
    return run_tool(_work, argv, USAGE + ", ".join(TOOLS), FLAGS, (1, 1))


def script() -> None:
    """The entry point of the console script."""
    sys.exit(main(sys.argv[1:]))


def _work(flags: Flags, words: list[str]) -> None:
    if words[0] not in COMMANDS:
        known = [*COMMANDS, *TOOLS]
        raise UsageError(f'unknown command "{words[0]}"{suggest(words[0], known)}; known: '
                         f"{', '.join(known)}")
    _function(*COMMANDS[words[0]])(flags)


def _function(module: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(f".{module}", __package__), name)


if __name__ == "__main__":
    script()
