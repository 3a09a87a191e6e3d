"""The page as a WSGI application: three files, and two questions that are answered in JSON."""
import contextlib
import json
import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from faster_rcnn.reports.html.environment import environment
from faster_rcnn.serving import guard
from faster_rcnn.serving.limits import Limits
from faster_rcnn.serving.looking import Finds, of_picture, of_video
from faster_rcnn.serving.turns import Turns
from faster_rcnn.serving.uploads import UploadError, is_video, received

log = logging.getLogger(__name__)

FILES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
LEAST_SCORE = 0.05          # where the slider begins
JSON_LINES = "application/x-ndjson"


class App:
    """The page of a detector.

        GET  /, /page.css, /page.js
        POST /detect   a picture: {"width", "height", "turned", "seconds", "detections": [{"class",
                       "score", "box": [x1, y1, x2, y2]}, ...]}; a video: JSON lines, see
                       looking.of_picture and looking.of_video

    The body of /detect is the file itself. An error is {"error": one line}. title: of the page;
    names: under which the page may be asked for beside localhost and addresses; score: where the
    page's slider stands at first (a detector that gives boxes from LEAST_SCORE on fills it all).
    """

    def __init__(self, detector: Finds, title: str = "detector", limits: Limits | None = None,
                 names: Collection[str] = (), score: float = 0.5) -> None:
        self._detector, self._names = detector, tuple(names)
        self._limits = limits or Limits()
        self._turns = Turns(self._limits)
        self._files = rendered(detector, title, self._limits, score)
        self._rules = Map([Rule("/", endpoint="page.html", methods=["GET"]),
                           Rule("/page.css", endpoint="page.css", methods=["GET"]),
                           Rule("/page.js", endpoint="page.js", methods=["GET"]),
                           Rule("/detect", endpoint="detect", methods=["POST"])])

    def __call__(self, environ: dict, start_response: Callable) -> Any:
        """WSGI."""
        request = Request(environ)
        response = self._answer(request)
        response.headers.extend(guard.HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        fault = guard.fault(request.headers, self._names)
        if fault:
            return _error(fault, 403)
        try:
            endpoint, _ = self._rules.bind_to_environ(request.environ).match()
            if endpoint == "detect":
                return self._detect(request)
            return Response(self._files[endpoint], mimetype=FILES[endpoint])
        except UploadError as error:
            return _error(str(error), error.status)
        except HTTPException as error:
            return _error(error.name, error.code or 500)
        except Exception:       # a fault of ours: for the log, not for the browser
            log.exception("%s %s failed", request.method, request.path)
            return _error("the server failed; its log says why", 500)

    def _detect(self, request: Request) -> Response:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._turns.place())
            path = stack.enter_context(received(request.stream, request.content_length,
                                                self._limits))
            stack.enter_context(self._turns.turn())
            if not is_video(path):
                return _json(of_picture(self._detector, path, self._limits))
            answers = of_video(self._detector, path, self._limits)
            lines = _lines(next(answers), answers)      # refuses before the answer begins
            response = Response(lines, mimetype=JSON_LINES)
            response.call_on_close(stack.pop_all().close)
            response.call_on_close(lines.close)
            return response


def rendered(detector: Finds, title: str, limits: Limits, score: float) -> dict[str, str]:
    """The three files of the page."""
    templates = environment("faster_rcnn.serving")
    values = {"title": title, "classes": list(detector.classes), "limits": limits, "score": score,
              "least_score": LEAST_SCORE}
    return {name: templates.get_template(name).render(values) for name in FILES}


def _lines(first: dict, rest: Iterator[dict]) -> Any:
    """The answers as lines of JSON; a fault on the way is the last one."""
    try:
        yield json.dumps(first) + "\n"
        for answer in rest:
            yield json.dumps(answer) + "\n"
    except Exception:
        log.exception("a video failed")
        yield json.dumps({"stopped": "the server failed; its log says why"}) + "\n"


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, mimetype="application/json")


def _error(text: str, status: int) -> Response:
    return _json({"error": text}, status)
