"""The commands of the pages: how they are found, and what is run in a test for each of them.

READ, the usual one: the command line is read by its tool (--parse-only), and nothing is done.
"""
import re
import shlex

from sources import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
_START = (r"(?:\./|\.venv/bin/|\.ci/|tools/\w+\.py|"
          r"(?:faster-rcnn|caffe|make|python|pip)(?= |$))")
_DETECTOR = "{weights}"
_SMALL = "--cpu --net Tiny --iters 2 --lr 0.001"

# command: what is run instead, in the folder of conftest.workplace; the same with few iterations,
# and with files that are there
RUN = {
    "faster-rcnn init my/pictures": "faster-rcnn init my/pictures",
    "faster-rcnn check my/pictures": "faster-rcnn check my/pictures --out checked",
    "faster-rcnn train my/pictures": f"faster-rcnn train my/pictures {_SMALL} --log l.txt {{here}}",
    "faster-rcnn train my/pictures --iters 200 --name first_look":
        f"faster-rcnn train my/pictures {_SMALL} --name first_look --no-test --log l.txt {{here}}",
    "faster-rcnn train my/pictures --resume":
        f"faster-rcnn train my/pictures {_SMALL} --resume --log l.txt {{here}}",
    "faster-rcnn report output": "faster-rcnn report output",
    "faster-rcnn shapes": "faster-rcnn shapes --output drawn --trainval 2 --test 1",
    "faster-rcnn detect WEIGHTS new/pictures":
        f"faster-rcnn detect {_DETECTOR} new/pictures --cpu --out found",
    "faster-rcnn detect WEIGHTS new/pictures --out found":
        f"faster-rcnn detect {_DETECTOR} new/pictures --out found --cpu",
    "faster-rcnn detect WEIGHTS new/pictures --thresh 0.5 --save json,csv":
        f"faster-rcnn detect {_DETECTOR} new/pictures --thresh 0.5 --save json,csv --cpu --out m",
    "./tools/demo.py --weights output/faster_rcnn_alt_opt/shapes_trainval pictures/ clip.mp4 "
    "--save json,csv":
        f"./tools/demo.py --weights {_DETECTOR} pictures/ --save json,csv --cpu --out demo",
    "./tools/demo.py --weights final.caffemodel pictures/":
        f"./tools/demo.py --weights {_DETECTOR} pictures/ --parse-only",
    "./tools/describe.py WEIGHTS --pack detector.frcnn.zip":
        f"./tools/describe.py {_DETECTOR} --pack detector.frcnn.zip",
    "./tools/check_data.py my/pictures": "./tools/check_data.py my/pictures --out checked",
    "./tools/anchors.py --imdb my/pictures": "./tools/anchors.py --imdb my/pictures",
    ".venv/bin/python docs/one_image.py DETECTOR PICTURE":
        f"python copy/one_image.py {_DETECTOR} {{picture}}",
    ".venv/bin/python tools/export_net.py --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/"
    "faster_rcnn_test.pt --net $R/Tiny_faster_rcnn_final.caffemodel --imdb shapes_test --out "
    "detector.onnx --check shapes_test --cfg experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml":
        "python tools/export_net.py --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/"
        f"faster_rcnn_test.pt --net {_DETECTOR} --imdb shapes_test --out detector.onnx "
        "--check shapes_test --cfg experiments/cfgs/faster_rcnn_alt_opt_Tiny.yml {here}",
    "python docs/draw_detections.py detector.onnx data/shapes/JPEGImages/000001.jpg drawn.png":
        "python docs/draw_detections.py detector.onnx data/shapes/JPEGImages/000001.jpg drawn.png",
    "./tools/modernize.py lib/datasets/my_imdb.py lib/my_layers/focal_loss.py":
        "./tools/modernize.py lib/datasets/imdb.py lib/rpn/proposal_layer.py",
    "caffe time -model net.prototxt": "caffe time -model net.prototxt -iterations 1",
    "caffe test -model net.prototxt -weights w.caffemodel -iterations 10":
        "caffe test -model net.prototxt -weights net.caffemodel -iterations 2",
    "caffe train -solver solver.prototxt -weights start.caffemodel":
        "caffe train -solver solver.prototxt -weights net.caffemodel",
    "caffe device_query": "caffe device_query",
}

# command: why it is not run here, and the test that runs what it does
ELSEWHERE = {
    "faster-rcnn serve WEIGHTS": ("runs until it is stopped", "lib/program/test_verbs.py"),
    "pip install '.[train,serve]'": ("needs the network", "tools/test_wheel.py"),
    ".ci/run": ("runs all tests", "test_layout.py"),
    "./experiments/scripts/faster_rcnn_alt_opt.sh GPU NET DATASET [options] [--set KEY VALUE ...]":
        ("a form", "tools/test_script_arguments.py"),
    './experiments/scripts/faster_rcnn_alt_opt.sh 0 VGG16 pascal_voc --set EXP_DIR foo '
    'TRAIN.SCALES "[400,500,600]"': ("needs VOC 2007 and a GPU", "tools/test_script_arguments.py"),
    "./experiments/scripts/faster_rcnn_alt_opt.sh cpu SqueezeNet my/card.yml --scale 480 --iters "
    "2000,2000,1000,1000": ("hours", "tools/test_alt_opt_smoke.py"),
    "./experiments/scripts/faster_rcnn_alt_opt.sh 0 VGG16 my/pictures --epochs 20":
        ("needs weights of VGG16 and a GPU", "tools/test_own_data.py"),
    "tools/export_net.py --def NET --net WEIGHTS --out rpn.onnx --shape data=1,3,600,800 --end "
    "rpn_bbox_pred": ("a form", "tools/test_export_net.py"),
    "tools/export_net.py --def NET --net WEIGHTS --out weights.safetensors":
        ("a form", "tools/test_export_net.py"),
    "tools/bench_export.py DETECTOR ...": ("a form", "tools/test_bench_export.py"),
    "tools/bench_export.py --made rfcn ssd --imdb bccd_test":
        ("many minutes", "tools/test_bench_export.py"),
}


def commands(page: str) -> list[str]:
    """The commands in the code of a page, in their order, without comments."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(rf"^ {{4,7}}({_START}.*)", text, re.M)
    return [re.sub(r"\s+", " ", re.sub(r"\s+# .*", "", line)).strip() for line in found]


def to_read(command: str) -> str:
    """The command line with --parse-only, without dots and torchrun."""
    command = re.sub(r"^\.venv/bin/torchrun --nproc_per_node \d+ ", "./", command)
    words = [word for word in shlex.split(command) if word != "..."]
    words = [word if word != "--solver" else "--rand" for word in words] \
        if "--solver ..." in command else words
    end = words.index("--set") if "--set" in words else len(words)
    return shlex.join([*words[:end], "--parse-only", *words[end:]])
