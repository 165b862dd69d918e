"""HTTP routes beside the pages: sounds and spectrograms, by the hash of their content."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from app import session, tries

MEDIA_TYPES = {"ogg": "audio/ogg", "webp": "image/webp"}
FOR_EVER = "public, max-age=31536000, immutable"
"""The address holds the content's hash: what it answers can never change."""


def media_url(name: str) -> str:
    """The address of a medium of the workspace."""
    return f"/sounds/{name}"


def try_url(name: str) -> str:
    """The address of a medium of somebody's own clip, which is not in the workspace."""
    return f"/tries/{name}"


def _media(request: Request) -> FileResponse:
    name = request.path_params["name"]
    path = session.workspace().media_path(name)
    if path is None:
        raise HTTPException(404)
    return _file(path, name, FOR_EVER)


def _try(request: Request) -> FileResponse:
    name = request.path_params["name"]
    path = tries.store().path(name)
    if path is None:
        raise HTTPException(404)
    return _file(path, name, "private, max-age=3600")


def _file(path, name: str, cache: str) -> FileResponse:
    headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=MEDIA_TYPES[name.rsplit(".", 1)[1]], headers=headers)


ROUTES = [Route("/sounds/{name}", _media), Route("/tries/{name}", _try)]
