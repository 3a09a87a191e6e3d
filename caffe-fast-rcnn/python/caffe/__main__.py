"""`python -m caffe`: the command `caffe`."""
from caffe.tools.main import script

script()
