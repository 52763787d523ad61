"""The web application: pages, pictures and videos of datasets. It answers GET and HEAD only, and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facefoundry.errors import FaceFoundryError, NotFound
from facefoundry.report.balance import balance_page
from facefoundry.report.render import asset
from facefoundry.report.runs import runs_page
from facefoundry.webpage.listing import Listing
from facefoundry.webpage.ranges import parse_range
from facefoundry.webpage.watch import Page, Watch

__all__ = ["HEADERS", "dataset_app", "listing_app"]

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data:; media-src 'self'; connect-src 'self'; script-src 'self'; "
        "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-robots-tag": "noindex",
}
"""Headers of every answer: other sites can neither frame a page nor show its pictures and videos, and pages load
nothing from elsewhere."""

_TYPES = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}


class _Headers:
    """Adds the headers to every answer, also to that of a fault."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in given)]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def dataset_app(watch: Watch, hosts: Sequence[str] = ()) -> ASGIApp:
    """Return the application that shows one dataset.

    Args:
        watch: Holds its record.
        hosts: The names by which browsers may ask for it, against other sites that have their name point here; all
            names if empty.
    """
    return _app(_dataset_routes(watch), hosts)


def listing_app(listing: Listing, hosts: Sequence[str] = ()) -> ASGIApp:
    """Return the application that lists runs and shows each below its name.

    Args:
        listing: Lists the runs.
        hosts: As in `dataset_app`.
    """

    def index(request: Request) -> Response:
        return HTMLResponse(runs_page(listing.runs()), headers={"cache-control": "no-cache"})

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        watch = await run_in_threadpool(listing.watch, request.path_params["name"])
        await Router(_dataset_routes(watch))(scope, receive, send)

    routes = [
        Route("/", index),
        *_shared_routes(),
        Mount("/runs/{name}", app=run),
    ]
    return _app(routes, hosts)


def _app(routes: Sequence[BaseRoute], hosts: Sequence[str]) -> ASGIApp:
    guards = [Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)] if hosts else []
    return _Headers(Starlette(routes=[*routes], middleware=guards, exception_handlers=dict(_HANDLERS)))


def _dataset_routes(watch: Watch) -> list[Route]:
    def index(request: Request) -> Response:
        return _page(request, watch.index())

    def pair(request: Request) -> Response:
        page = watch.pair(request.path_params["pair"])
        if page is None:
            raise HTTPException(404, "The run has no such pair.")
        return HTMLResponse(page, headers={"cache-control": "no-cache"})

    def balance(request: Request) -> Response:
        snapshot = watch.snapshot
        if snapshot.balance is None:
            raise HTTPException(404, "The balance of the run was not checked.")
        page = balance_page(snapshot.run.name, snapshot.balance)
        return HTMLResponse(page, headers={"cache-control": "no-cache"})

    def picture(request: Request) -> Response:
        data = watch.source.picture(request.path_params["file"])
        if data is None:
            raise HTTPException(404, "The run has no such picture.")
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=60"})

    def video(request: Request) -> Response:
        return _video(watch, request)

    return [
        Route("/", index),
        Route("/pair/{pair}", pair),
        Route("/balance", balance),
        Route("/picture/{file:path}", picture),
        Route("/video/{kind}/{level}/{item}", video),
        *_shared_routes(),
    ]


def _shared_routes() -> list[Route]:
    def style(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(asset(name), media_type=_TYPES[name], headers={"cache-control": "no-cache"})

    async def health(request: Request) -> Response:  # needs no thread, which all may wait for the store
        return PlainTextResponse("ok\n")

    return [*(Route(f"/{name}", style) for name in _TYPES), Route("/healthz", health)]


def _page(request: Request, page: Page) -> Response:
    """Send a page, compressed if the browser takes that, or tell that the one that it has is the newest."""
    is_compressed = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{page.tag}-gzip"' if is_compressed else f'"{page.tag}"'
    headers = {"cache-control": "no-cache", "etag": tag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if is_compressed:
        return HTMLResponse(page.compressed, headers=headers | {"content-encoding": "gzip"})
    return HTMLResponse(page.data, headers=headers)


def _video(watch: Watch, request: Request) -> Response:
    kind, level, item = (request.path_params[name] for name in ("kind", "level", "item"))
    found = watch.source.video(kind, level, item) if kind in ("real", "fake") else None
    if found is None:
        raise HTTPException(404, "The dataset has no such video.")
    headers = {"accept-ranges": "bytes", "etag": f'"{found.tag}"', "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range") if request.method == "GET" else None
    if request.headers.get("if-range", headers["etag"]) != headers["etag"]:
        wanted = None
    try:
        part = parse_range(wanted, found.size)
    except ValueError:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{found.size}"})
    start, stop = part or (0, found.size)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{found.size}"
    headers["content-length"] = str(stop - start)
    blocks = () if request.method == "HEAD" else watch.source.video_blocks(kind, level, item, start, stop)
    return StreamingResponse(blocks, 206 if part else 200, headers, "video/mp4")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, dict(error.headers or {}))


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, FaceFoundryError)
    return PlainTextResponse(f"{error.message}\n", 404 if isinstance(error, NotFound) else 503)


_HANDLERS: Final = {HTTPException: _refused, FaceFoundryError: _failed}
