"""The web application: a list of studies, a study, a trial.

Whoever has its token may read; nothing changes a study but the stop button, if that is allowed.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from search_spaces import needs_extra
from tune_cluster.reports.report import html_of
from tune_cluster.reports.templates import rendered
from tune_cluster.reports.ui.live import LiveStudies, overview_json
from tune_cluster.study.study_file import DATA_FILE

with needs_extra("ui"):
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")

COOKIE = "tune-cluster"

HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine: a page of another one that resolves to it is refused."""


def application(folder: Path, *, token: str, allow_stop: bool = False) -> Starlette:
    """Return the application.

    Args:
        folder: folder with the studies.
        token: word that an address or a cookie must have.
        allow_stop: whether a page may stop a study.
    """
    studies = LiveStudies(folder)

    async def index(request: Request) -> Response:
        return HTMLResponse(rendered("ui_index.html.jinja", folder=str(folder)))

    async def listed(request: Request) -> Response:
        found = await run_in_threadpool(studies.overviews)
        return JSONResponse([overview_json(one) for one in found])

    async def study(request: Request) -> Response:
        name = request.path_params["name"]

        def page() -> str:
            version = studies.version(name)
            live = {
                "name": name,
                "version": _text(version),
                "running": version[2],
                "stop": allow_stop and version[2],
            }
            return html_of([studies.report(name)], folder, live=live)

        return HTMLResponse(await _found(page))

    async def data(request: Request) -> Response:
        page = await _found(lambda: studies.data_page(request.path_params["name"]))
        # What a study contains may be another person's: it gets neither the cookie nor the rest.
        return HTMLResponse(page, headers={"Content-Security-Policy": "sandbox"})

    async def version(request: Request) -> Response:
        name = request.path_params["name"]
        found = await _found(lambda: studies.version(name))
        return JSONResponse({"version": _text(found)})

    async def trial(request: Request) -> Response:
        name, index = request.path_params["name"], request.path_params["trial"]
        story = await _found(lambda: studies.story(name, index))
        return HTMLResponse(rendered("ui_trial.html.jinja", name=name, story=story))

    async def stop(request: Request) -> Response:
        name = request.path_params["name"]
        stopped = await _found(lambda: studies.stop(name))
        return JSONResponse({"stopped": stopped}, status_code=200 if stopped else 409)

    async def library(request: Request) -> Response:
        from plotly.offline import get_plotlyjs

        headers = {"Cache-Control": "max-age=86400"}
        return Response(get_plotlyjs(), media_type="text/javascript", headers=headers)

    routes = [
        Route("/", index),
        Route("/plotly.js", library),
        Route("/studies", listed),
        Route("/study/{name}", study),
        Route("/study/{name}/version", version),
        Route("/study/{name}/" + DATA_FILE, data),
        Route("/study/{name}/trial/{trial:int}", trial),
    ]
    if allow_stop:
        routes.append(Route("/study/{name}/stop", stop, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)),
            Middleware(BaseHTTPMiddleware, dispatch=_only_with(token)),
        ],
    )


def _only_with(
    token: str,
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Return the check of the token: in the address at first, then in a cookie."""

    async def dispatch(
        request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        given = request.query_params.get("token")
        if given is not None and secrets.compare_digest(given, token):
            answer: Response = RedirectResponse(request.url.path, status_code=303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return answer
        if not secrets.compare_digest(request.cookies.get(COOKIE, ""), token):
            return Response("give the address that tune-cluster ui has printed", status_code=403)
        return await following(request)

    return dispatch


async def _found(call: Callable[[], T]) -> T:
    """Return the result of a call in a thread; answer 404 for what is missing or unreadable."""
    try:
        return await run_in_threadpool(call)
    except (KeyError, ValueError) as error:
        raise HTTPException(404, str(error)) from None


def _text(version: tuple[int, int, bool]) -> str:
    return "-".join(map(str, map(int, version)))
