"""Caffe's command line tools: `python -m caffe.tools.NAME`; each has a `main(argv)`."""
