"""One shape for every no: {"error": {"code", "message", "details"}}."""

from __future__ import annotations

from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sync_core.errors import Refusal
from sync_core.services.conflict_views import ConflictRefusal
from sync_core.services.connection_views import ConnectRefusal

log = structlog.get_logger()
T = TypeVar("T")

_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


class Refused(Exception):  # noqa: N818 - an answer on its way out, not a mistake
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def granted(result: T | Refusal) -> T:
    """A service's result; its refusal becomes the answer."""
    if isinstance(result, Refusal):
        raise Refused(result)
    return result


def envelope(
    status: int,
    code: str,
    message: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = {"error": {"code": code, "message": message, "details": details or {}}}
    return JSONResponse(body, status_code=status, headers=headers)


def install(api: FastAPI) -> None:
    api.exception_handler(Refused)(_refused)
    api.exception_handler(RequestValidationError)(_invalid)
    api.exception_handler(HTTPException)(_http)
    api.exception_handler(Exception)(_broken)


async def _refused(_: Request, refused: Refused) -> JSONResponse:
    refusal = refused.refusal
    details: dict[str, Any] = {} if refusal.field is None else {"field": refusal.field}
    if isinstance(refusal, ConnectRefusal) and refusal.checks:
        details["checks"] = [check.to_json() for check in refusal.checks]
    if isinstance(refusal, ConflictRefusal) and refusal.view is not None:
        details["conflict"] = refusal.view.to_json()
    headers = {"WWW-Authenticate": "ApiKey"} if refusal.status == 401 else None
    return envelope(refusal.status, refusal.code, refusal.message, details, headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """What was sent is not repeated: it may be a key."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return envelope(400, "malformed_json", "The body is not valid JSON.")
    problems = [{"field": _field(one["loc"]), "message": one["msg"]} for one in found]
    first = problems[0]
    if any(one["loc"][0] == "path" for one in found):
        return envelope(400, "invalid_id", f"The id in the address is not a UUID ({first['field']}).", first)
    message = f"{first['field'] or 'The body'}: {first['message']}."
    return envelope(422, "invalid_request", message, {"field": first["field"], "errors": problems})


def _field(where: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in where[1:])


async def _http(_: Request, error: HTTPException) -> JSONResponse:
    code = _CODES.get(error.status_code, "bad_request")
    message = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    text = message.get(error.status_code, "The request could not be read.")
    return envelope(error.status_code, code, text, headers=dict(error.headers or {}))


async def _broken(request: Request, error: Exception) -> JSONResponse:
    log.error("api.broken", path=request.url.path, error=type(error).__name__)
    return envelope(500, "internal_error", "Something went wrong here. It has been logged; try again.")
