"""The browser SDK as the edge serves it: read once, packed once, told apart by ETag. Refuses any name but those of FILES.

Every user gets the same bytes, so any cache may keep them for a while; what differs by user is in no cache (guards.py).
"""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from app.edge.paths import Endpoint

FOLDER = Path(__file__).parent / "static"
FILES: Mapping[str, str] = {
    "truelift.js": "text/javascript; charset=utf-8",
    "truelift.d.ts": "text/plain; charset=utf-8",
}
# So long a mended SDK may take to reach a page that is opened again.
MAX_AGE_SECONDS = 300


class _Served(NamedTuple):
    plain: bytes
    packed: bytes
    headers: Mapping[str, str]


def static_table() -> dict[tuple[str, str], Endpoint]:
    """(method, path) -> endpoint, for each file."""
    return {("GET", f"/static/{name}"): _endpoint(_served(name)) for name in FILES}


def _served(name: str) -> _Served:
    plain = (FOLDER / name).read_bytes()
    headers = {
        "content-type": FILES[name],
        "cache-control": f"public, max-age={MAX_AGE_SECONDS}",
        # Weak: the packed and the plain body are the same script, not the same bytes.
        "etag": f'W/"{hashlib.sha256(plain).hexdigest()[:16]}"',
        "vary": "Accept-Encoding",
    }
    return _Served(plain, gzip.compress(plain, mtime=0), headers)


def _endpoint(served: _Served) -> Endpoint:
    async def serve(request: Request) -> Response:
        if served.headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=served.headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(served.packed, headers={**served.headers, "content-encoding": "gzip"})
        return Response(served.plain, headers=served.headers)

    return serve
