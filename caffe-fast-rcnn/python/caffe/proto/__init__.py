"""The messages of caffe.proto: caffe_pb2, which `make` (or generate.py in here) generates.

Belongs here: the generated module, and what generates it. May import: nothing of caffe.
"""
# Old scripts say `import caffe` and then use google.protobuf.text_format without importing it.
import google.protobuf.text_format  # noqa: F401

try:
    from caffe.proto import caffe_pb2
except ImportError as error:
    if "caffe_pb2" not in str(error):
        raise
    raise ImportError("caffe/proto/caffe_pb2.py has not been generated; run `make`, or "
                      "python caffe-fast-rcnn/python/caffe/proto/generate.py") from None

__all__ = ["caffe_pb2"]
