"""The packages that only some commands need (caffe.core.packages), by what needs them."""
from caffe.core.packages import EXTRAS, MissingPackageError, advice, require

__all__ = ["EXTRAS", "REPORT", "MissingPackageError", "advice", "require"]

REPORT = ("matplotlib", "jinja2")       # what a report is made with
