"""The server on a real socket: turns, ports, and who is told what."""
import contextlib
import http.client
import threading

import pytest
from scripted_detector import ScriptedDetector, png, running

from faster_rcnn.serving.limits import Limits
from faster_rcnn.serving.server import ServerError, open_server, serve_detector


def ask(server, data, path="/detect"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, data)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Server")


class Slow(ScriptedDetector):
    """Waits until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, pictures):
        self.begun.set()
        self.go_on.wait(20)
        return super().__call__(pictures)


def test_a_picture_over_a_socket():
    with running(ScriptedDetector()) as server:
        status, body, name = ask(server, png())
        assert status == 200 and b'"cat"' in body and name == "faster-rcnn"
        assert ask(server, b"")[:2] == (400, b'{"error": "the file is empty"}')


def test_the_second_request_waits_for_its_turn_and_the_third_is_sent_away():
    detector = Slow()
    answers = []
    with running(detector, limits=Limits(waiting=0)) as server:
        first = threading.Thread(target=lambda: answers.append(ask(server, png())[0]))
        first.start()
        assert detector.begun.wait(10)
        assert ask(server, png())[0] == 503
        detector.go_on.set()
        first.join(10)
        assert answers == [200] and ask(server, png())[0] == 200


def test_who_waits_too_long_is_told_so():
    detector = Slow()
    with running(detector, limits=Limits(turn_seconds=0.05)) as server:
        first = threading.Thread(target=lambda: ask(server, png()))
        first.start()
        assert detector.begun.wait(10)
        status, body, _ = ask(server, png())
        assert status == 503 and b"busy" in body
        detector.go_on.set()
        first.join(10)


def test_a_port_that_is_taken_is_named():
    with running(ScriptedDetector()) as server, pytest.raises(
            ServerError, match=f"127.0.0.1, port {server.server_port}"):
        open_server(ScriptedDetector(), "127.0.0.1", server.server_port)
    with pytest.raises(ServerError, match="no.such.host.invalid"):
        open_server(ScriptedDetector(), "no.such.host.invalid", 0)


def test_it_says_where_it_serves_and_warns_where_others_reach_it(monkeypatch, capsys, caplog):
    monkeypatch.setattr("werkzeug.serving.BaseWSGIServer.serve_forever", lambda self: None)
    serve_detector(ScriptedDetector(), "tiny", port=0)
    assert "Serving tiny at http://127.0.0.1:" in capsys.readouterr().out and not caplog.records
    serve_detector(ScriptedDetector(), "tiny", host="0.0.0.0", port=0)
    assert "Everybody who can reach this machine" in caplog.text
