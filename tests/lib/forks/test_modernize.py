"""Files of old forks become Python of today; what they compute stays what Python 2 computed."""
import ast
import os
import re
import subprocess
import sys

import pytest

from faster_rcnn.forks.edits import ModernizeError
from faster_rcnn.forks.modernize import modernized
from faster_rcnn.settings.config import cfg


def new(text):
    """The text after all edits; a second time changes nothing."""
    made, _ = modernized(text, "a.py")
    assert modernized(made, "a.py")[0] == made
    ast.parse(made)
    return made


@pytest.mark.parametrize("old,expected", (
    ('print "a", b\n', 'print("a", b)\n'),
    ("print\n", "print()\n"),
    ("print a,\n", 'print(a, end=" ")\n'),
    ("print >>sys.stderr, a % b\n", "print(a % b, file=sys.stderr)\n"),
    ("print >>f\n", "print(file=f)\n"),
    ('print ("a"), 3\n', 'print(("a"), 3)\n'),
    ('print("a %d" % 3)\n', 'print("a %d" % 3)\n'),
    ('if x: print "é", y  # print z\n', 'if x: print("é", y)  # print z\n'),
    ("a = 1; print a; b = 2\n", "a = 1; print(a); b = 2\n"),
    ('print "a" \\\n    "b"\n', 'print("a" \\\n    "b")\n'),
    ("text = 'print a'\n", "text = 'print a'\n"),
    ("try:\n    f()\nexcept (A, B), e:\n    pass\n",
     "try:\n    f()\nexcept (A, B) as e:\n    pass\n"),
    ('raise ValueError, "bad %s" % e\n', 'raise ValueError("bad %s" % e)\n'),
    ("if a <> b: pass\n", "if a != b: pass\n"),
    ("for i in xrange(3): d.iteritems()\n", "for i in range(3): d.items()\n"),
    ("import cPickle\n", "import pickle as cPickle\n"),
    ("import cPickle as pickle, os\n", "import pickle, os\n"),
    ("p = yaml.load(self.param_str_)\n", "p = yaml.safe_load(self.param_str_)\n"),
    ("p = yaml.load(text, Loader=yaml.SafeLoader)\n",
     "p = yaml.load(text, Loader=yaml.SafeLoader)\n"),
    ("a = b.astype(np.float)\n", "a = b.astype(float)\n"),
    ("a = np.zeros(3, dtype=np.int), np.float32(1), self.float\n",
     "a = np.zeros(3, dtype=int), np.float32(1), self.float\n"),
    ("a = np.zeros((n / 2, m * (k / 4)))\n", "a = np.zeros((n // 2, m * (k // 4)))\n"),
    ("é = x[:len(x) / 2, 3] / 2\n", "é = x[:len(x) // 2, 3] / 2\n"),
    ("a = scale / 2\n", "a = scale / 2\n"),
    ("with open(f, 'w') as fid:\n    cPickle.dump(x, fid)\n",
     "with open(f, 'wb') as fid:\n    cPickle.dump(x, fid)\n"),
    ("def load(f):\n    fid = open(f)\n    return pickle.load(fid)\n",
     "def load(f):\n    fid = open(f, 'rb')\n    return pickle.load(fid)\n"),
    ("x = pickle.load(open(f, 'r'))\n", "x = pickle.load(open(f, 'rb'))\n"),
    ("with open(f, 'w') as fid:\n    fid.write('a')\n",
     "with open(f, 'w') as fid:\n    fid.write('a')\n")))
def test_an_edit(old, expected):
    assert new(old) == expected


def test_what_needs_thought_is_listed():
    _, left = modernized("num = a / 2\nd.has_key(3)\nm = map(f, x)\nscale = a / 2\n", "a.py")
    assert [line.split(": ")[0] for line in left] == ["a.py:1", "a.py:2", "a.py:3"]


@pytest.mark.parametrize("text", ("def f(:\n", "x = (1\n", "`a`\n", "exec 'a'\n", "x = '\0'\n"))
def test_what_is_no_python_is_named(text):
    with pytest.raises(ModernizeError, match=r"a.py:\d: "):
        modernized(text, "a.py")


def test_files_of_today_stay_as_they_are():
    for folder, _, names in os.walk(os.path.join(cfg.ROOT_DIR, "lib", "faster_rcnn", "datasets")):
        for name in (name for name in names if name.endswith(".py")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            assert modernized(text, name)[0] == text, name


def test_the_tool_shows_a_diff_and_writes_only_when_told(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("print 'a'\n")
    command = [sys.executable, os.path.join(cfg.ROOT_DIR, "tools", "modernize.py"), str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "-print 'a'\n+print('a')\n" in shown.stdout, shown.stderr
    assert path.read_text() == "print 'a'\n"
    written = subprocess.run([*command, "--write"], capture_output=True, text=True, timeout=60)
    assert written.returncode == 0 and path.read_text() == "print('a')\n"
    path.write_text("def f(:\n")
    wrong = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    # until Python 3.11 the line where the file ends, later the one where the bracket opens
    assert re.search(r"mine\.py:[12]: ", wrong.stderr)
