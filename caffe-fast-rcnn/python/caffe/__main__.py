"""`python -m caffe`: the command `caffe`."""
from .tools.main import script

script()
