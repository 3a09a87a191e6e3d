"""What a tool shows, and what its log file holds: checked in processes of their own."""
import os
import pty
import subprocess
import sys

import pytest

TOOL = """
import argparse, logging, sys
from faster_rcnn.commands import tool
from faster_rcnn.runs.progress import ImageProgress
from faster_rcnn.runs.terminal import open_bar, close_bar

def main(args):
    log = logging.getLogger("faster_rcnn.some.room")
    log.debug("a detail")
    log.info("a message")
    logging.getLogger("caffe").info("an engine's line")
    logging.getLogger("my_imdb").info("a user's line")
    log.warning("a warning")
    progress = ImageProgress("im_detect", 250)
    for number in range(1, 251):
        progress.update(number, "1s")
    print("a result")
    progress.close()
    print("at fault", file=sys.stderr)
    if args.fail:
        raise OSError("no disk")

tool.run(main, args=argparse.Namespace(**{word: word in sys.argv
                                          for word in ("quiet", "verbose", "fail")}))
"""
SHOWN = ["a message", "a user's line", "a warning", "im_detect: 100/250 1s",
         "im_detect: 200/250 1s", "im_detect: 250/250 1s", "a result"]


def run(tmp_path, *words):
    """(the finished process, its log file's lines without glog's prefixes)"""
    path = tmp_path / "log.txt"
    done = subprocess.run([sys.executable, "-c", TOOL, *words], capture_output=True, text=True,
                          env=dict(os.environ, FASTER_RCNN_LOG=str(path)), timeout=100)
    return done, [line.rpartition("] ")[2] for line in path.read_text().splitlines()]


def test_messages_are_shown_and_the_file_has_all(tmp_path):
    done, logged = run(tmp_path)
    assert done.stdout.splitlines() == SHOWN and done.stderr == "at fault\n"
    assert logged[:5] == ["a detail", "a message", "an engine's line", "a user's line", "a warning"]
    assert logged[5:255] == [f"im_detect: {number}/250 1s" for number in range(1, 251)]
    assert logged[255:] == ["a result", "at fault"]


def test_verbose_shows_what_the_file_has_and_no_line_twice(tmp_path):
    done, logged = run(tmp_path, "verbose")
    shown = [line.rpartition("] ")[2] for line in done.stdout.splitlines()]
    assert shown == logged[:-1] and len(set(shown)) == len(shown)


def test_quiet_shows_results_and_warnings(tmp_path):
    done, logged = run(tmp_path, "quiet")
    assert done.stdout == "a warning\na result\n" and "a detail" in logged


def test_errors_are_in_the_file(tmp_path):
    done, logged = run(tmp_path, "fail")
    assert done.returncode == 2 and done.stderr.endswith("error: no disk\n")
    assert logged[-1] == done.stderr.splitlines()[-1]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "no").write_text("a file, not a folder")
    done = subprocess.run([sys.executable, "-c", TOOL], capture_output=True, text=True, timeout=100,
                          env=dict(os.environ, FASTER_RCNN_LOG=str(tmp_path / "no" / "log.txt")))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and f"{tmp_path}/no" in done.stderr


def on_a_terminal(command, env):
    """(exit status, all that a command writes to a terminal of its own)"""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, env)
    written = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:         # Linux: the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode()


@pytest.mark.parametrize("pipe", ("", " | tee shown.txt", " 2>&1 | tee shown.txt"))
def test_a_bar_on_a_terminal_also_through_a_pipe(tmp_path, pipe):
    env = dict(os.environ, FASTER_RCNN_LOG=str(tmp_path / "log.txt"), COLUMNS="100")
    (tmp_path / "tool.py").write_text(TOOL)
    status, written = on_a_terminal(
        ["bash", "-c", f"cd {tmp_path}; {sys.executable} tool.py{pipe}"], env)
    assert status == 0 and "im_detect:   0%|" in written and "/250" in written, written
    assert "im_detect: 100/250" not in written
    lines = (tmp_path / "log.txt").read_text()
    assert "im_detect: 100/250 1s\n" in lines and "%|" not in lines
    if pipe:
        assert "%|" not in (tmp_path / "shown.txt").read_text()


def test_no_bar_where_quiet_is_wanted(tmp_path):
    _, written = on_a_terminal([sys.executable, "-c", TOOL, "quiet"],
                               dict(os.environ, FASTER_RCNN_LOG=str(tmp_path / "log.txt")))
    assert "%|" not in written and "a result" in written
