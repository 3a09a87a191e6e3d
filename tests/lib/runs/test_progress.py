"""Progress of a training: a bar on a terminal, lines elsewhere."""
import io

from faster_rcnn.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_where_there_is_no_terminal(caplog):
    with caplog.at_level("INFO"):
        progress = Progress((4, 10), images=2, display=3, stream=io.StringIO())
        for iteration in range(5, 11):
            progress.update(iteration, 0.5, 0.001)
        progress.close()
    assert [message.split(":")[0] for message in caplog.messages] == [
        "iteration 6 of 10", "iteration 9 of 10"]
    assert "loss 0.5000, rate 0.001" in caplog.messages[0]
    assert "images/s" in caplog.messages[0] and "left" in caplog.messages[0]


def test_bar_on_a_terminal(caplog):
    stream = Terminal()
    with caplog.at_level("INFO"):
        progress = Progress((4, 10), images=2, display=1, stream=stream)
        for iteration in range(5, 11):
            progress.update(iteration, 0.25, 0.001)
        progress.close()
    assert not caplog.messages
    assert "4/10" in stream.getvalue()


def test_silent_without_display(caplog):
    with caplog.at_level("INFO"):
        Progress((0, 2), images=1, display=0, stream=io.StringIO()).update(1, 0.5, 0.1)
    assert not caplog.messages
