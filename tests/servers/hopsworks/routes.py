"""What each route of the REST API answers from the store."""

import json
from collections.abc import Collection

from tests.servers.hopsworks.messages import Reply, Request, as_json, parse_multipart, refused
from tests.servers.hopsworks.store import Store
from tests.servers.hopsworks.tree import Refusal

PROJECT_ID = "119"
DEFAULT_LIMIT = 1000
CREDENTIALS = {
    "kStore": "AA==",
    "tStore": "AA==",
    "password": "p",
    "caChain": "ca",
    "clientCert": "cert",
    "clientKey": "key",
}


def answer(store: Store, keys: Collection[str], request: Request) -> Reply:
    """Return the reply to a request.

    Args:
        store: What the server keeps.
        keys: API keys that it accepts.
        request: The request.

    Raises:
        LookupError: The double has no such route.
    """
    try:
        _check_key(keys, request)
        return _route(store, request)
    except Refusal as refusal:
        return refused(refusal)


def _check_key(keys: Collection[str], request: Request) -> None:
    """Refuse a request without a key that is known."""
    kind, _, key = (request.headers.get("Authorization") or "").partition(" ")
    if kind != "ApiKey" or key not in keys:
        raise Refusal(401, 320002, "Could not authenticate with the API key.")


def _route(store: Store, request: Request) -> Reply:
    """Return the reply of the route that the path leads to."""
    match request.method, *request.segments:
        case "GET", "variables", "versions":
            return as_json([{"software": "hopsworks", "version": "5.2.0"}])
        case "GET", "variables", "upload_policy":
            return as_json({"successMessage": "enabled"})
        case "GET", "project":
            project = {"user": {"username": "meb10000"}, "project": {"name": store.project}}
            return as_json([project])
        case "GET", "project", "getProjectInfo", name:
            if name != store.project:
                raise Refusal(400, 150004, "Project not found.")
            return as_json({"projectId": int(PROJECT_ID), "projectName": name})
        case "GET", "project", "119", "credentials":
            return as_json(CREDENTIALS)
        case _, "project", "119", "dataset", *rest:
            return _dataset(store, request, rest)
        case _, "project", "119", "modelregistries", "119", "models", *rest:
            return _models(store, request, rest)
    raise _no_route(request)


def _dataset(store: Store, request: Request, rest: list[str]) -> Reply:
    """Return the reply of a route about files and folders."""
    match request.method, rest, request.parameter("action"):
        case "GET", ["download", "with_auth", path], None:
            return Reply(body=store.content(path), content_type="application/octet-stream")
        case "GET", [path], None:
            return as_json(store.stat(path))
        case "GET", [path], "listing":
            offset, limit = request.number("offset", 0), request.number("limit", DEFAULT_LIMIT)
            return as_json(store.listing(path, offset, limit, request.parameter("sort_by") or ""))
        case "POST", ["upload", folder], None:
            store.chunk(folder, *parse_multipart(request))
            return Reply()
        case "POST", [path], "create":
            return as_json(store.mkdir(path), 201)
        case "POST", [path], ("copy" | "move") as action:
            target = request.parameter("destination_path") or ""
            store.transfer(path, target, move=action == "move")
            return Reply(204)
        case "DELETE", [path], None:
            store.remove(path)
            return Reply(204)
    raise _no_route(request)


def _models(store: Store, request: Request, rest: list[str]) -> Reply:
    """Return the reply of a route about the model registry."""
    match request.method, rest:
        case "GET", []:
            (name_filter,) = request.query["filter_by"]
            limit = request.parameter("limit")
            models = store.models_named(
                name_filter.removeprefix("name_eq:"),
                request.parameter("sort_by"),
                int(limit) if limit else None,
            )
            return as_json(models)
        case "GET", [key]:
            return as_json(store.model(key))
        case "PUT", [key]:
            body = json.loads(request.body, parse_constant=_refuse_constant)
            return as_json(store.register(key, body))
        case "DELETE", [key]:
            store.unregister(key)
            return Reply(204)
    raise _no_route(request)


def _no_route(request: Request) -> LookupError:
    """Return the error for a request that the double was not built for."""
    return LookupError(
        f"the double has no route for {request.method} {request.path}?{request.query}"
    )


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and Infinity, which Python would take for JSON."""
    raise Refusal(400, 360002, f"{constant} is no JSON.")
