"""What `caffe test` and `caffe time` share: the model that the flags describe."""
from caffe.nets.net import Net
from caffe.core.state import Phase
from caffe.tools.command import UsageError


def required(flags, name, purpose):
    """Raises UsageError unless a flag has been given."""
    if not flags[name]:
        raise UsageError(f"-{name} is missing: what {purpose}?")


def positive_iterations(flags):
    """The flag -iterations."""
    if flags["iterations"] <= 0:
        raise UsageError(f"-iterations: expected 1 or more, got {flags['iterations']}")
    return flags["iterations"]


def phase(flags, default):
    """The Phase in the flag -phase."""
    if flags["phase"] not in ("", *Phase.__members__):
        raise UsageError(f'-phase: expected TRAIN or TEST, got "{flags["phase"]}"')
    return Phase[flags["phase"]] if flags["phase"] else default


def stages(flags):
    """The names in the flag -stage."""
    return [name.strip() for name in flags["stage"].split(",") if name.strip()]


def model_net(flags, net_phase):
    """The net in -model, with the layers that the phase, -level and -stage allow."""
    return Net(flags["model"], net_phase, level=flags["level"], stages=stages(flags))
