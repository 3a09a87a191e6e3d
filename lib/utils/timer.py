"""A stop-watch that knows its mean. The code is in caffe.core.logs."""
from caffe import Timer  # noqa: F401
