"""Who may ask: this machine's own pages, under a name that no stranger can point to it.

A page of another site can send requests to 127.0.0.1, and by "DNS rebinding", a name that first
leads to its own server and then here, even read the answers. So a request must come under
`localhost`, a literal address or a name that was given, and from no page but ours.
"""
import ipaddress
from collections.abc import Collection

from werkzeug.datastructures import Headers

LOCAL_NAMES = ("localhost",)
# What answers tell a browser: nothing from elsewhere, no guessing of types, in no frame
HEADERS = {
    "Content-Security-Policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def fault(headers: Headers, names: Collection[str] = ()) -> str:
    """Why a request is refused, from its headers; empty when it is not.

    names: under which the server may be asked, beside localhost and addresses.
    """
    host = headers.get("Host", "")
    if not _is_known(host, names):
        return f"this server is not {host[:80]!r}; open it under its address or as localhost"
    origin = headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "requests from other pages are refused"
    if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        return "requests from other pages are refused"
    return ""


def _is_known(host: str, names: Collection[str]) -> bool:
    """Whether a Host header, name or address with or without a port, is one of ours."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    if not (port.isascii() and port.isdigit()):
        return False
    name = name.lower()
    if name in LOCAL_NAMES or name in {known.lower() for known in names}:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
