"""Serves the page of a detector to this machine."""
import ipaddress
import logging
from collections.abc import Collection
from typing import Any, cast

from werkzeug.serving import (
    BaseWSGIServer,
    ThreadedWSGIServer,
    WSGIRequestHandler,
    make_server,
)

from caffe.core.errors import UserError
from faster_rcnn.serving.app import App
from faster_rcnn.serving.limits import Limits
from faster_rcnn.serving.looking import Finds

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30        # a connection on which nothing comes is closed


class ServerError(UserError, OSError):
    """A server that cannot be started; the message says where and why."""


class Handler(WSGIRequestHandler):
    """A connection; says less than the library's own."""

    timeout = SILENCE_SECONDS

    def version_string(self) -> str:
        """What answers say of the server."""
        return "faster-rcnn"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line per request, in the log of the program."""
        log.info("%s %r: %s", self.client_address[0], self.requestline[:200], code)


def serve_detector(detector: Finds, title: str, host: str = "127.0.0.1", port: int = 8000, *,
                   limits: Limits | None = None, names: Collection[str] = (),
                   score: float = 0.5) -> None:
    """Serves the page of a detector until it is interrupted.

    title: of the page. host: the address to listen at; others than the loopback let everybody who
    reaches this machine look at pictures with it. port: 0 for any free one. names: under which
    browsers may ask for the page, beside localhost and addresses. score: where its slider stands at
    first; the detector should give boxes from app.LEAST_SCORE on. Raises ServerError.
    """
    server = open_server(detector, host, port, title=title, limits=limits, names=names,
                         score=score)
    shown = f"[{host}]" if ":" in host else host
    if not _is_loopback(host):
        log.warning("Everybody who can reach this machine at %s can use this page", shown)
    print(f"Serving {title} at http://{shown}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with server:
        server.serve_forever()


def open_server(detector: Finds, host: str, port: int, **options: Any) -> BaseWSGIServer:
    """A server that listens, to be run by its serve_forever; options: of App."""
    try:
        server = make_server(host, port, App(detector, **options), threaded=True,
                             request_handler=Handler)
    except (OSError, SystemExit) as error:      # the library exits where a port is taken
        reason = error.strerror if isinstance(error, OSError) else "is it taken?"
        raise ServerError(f"cannot listen at {host}, port {port} ({reason}); choose another "
                          "--port or --host") from None
    # Closing it waits for the requests in work: PyTorch aborts a process that ends meanwhile
    cast(ThreadedWSGIServer, server).daemon_threads = False
    return server


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
