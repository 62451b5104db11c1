"""The guard on every event: nobody's handler runs for somebody who isn't signed in, whatever a client sends.

A State's handlers are wrapped when its class is made (`PageState.__init_subclass__`), so none can be forgotten.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

log = structlog.get_logger()

GUARDED = "_cyphera_guarded"
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


class SignedOut(Exception):  # noqa: N818 - it is what happened, not a mistake
    """The session behind this websocket has ended."""


class BadPayload(Exception):  # noqa: N818 - the same
    """A client sent an argument that its handler doesn't take."""


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler behind the guard. Decorators of `rx.event` stay on it, and so do its signature and annotations."""
    if getattr(handler, GUARDED, False):
        return handler
    if inspect.isasyncgenfunction(handler):
        wrapped = _guarded_generator(handler)
    elif inspect.iscoroutinefunction(handler):
        wrapped = _guarded_coroutine(handler)
    else:
        raise TypeError(
            f"{handler.__qualname__} is public, so every client can call it: make it async to be an event handler,"
            " or begin its name with an underscore."
        )
    setattr(wrapped, GUARDED, True)
    return wrapped


def _guarded_coroutine(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            await self._admit()
            _check(handler, args, kwargs)
            return await handler(self, *args, **kwargs)
        except Exception as failure:  # noqa: BLE001 - the last place before the framework, which would show a raw error
            await _tell(self, handler, failure)
            return None

    return run


def _guarded_generator(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            await self._admit()
            _check(handler, args, kwargs)
            async for event in handler(self, *args, **kwargs):
                yield event
        except Exception as failure:  # noqa: BLE001 - as above
            await _tell(self, handler, failure)

    return run


async def _tell(state: Any, handler: Callable[..., Any], failure: Exception) -> None:
    """On the screen in words; in the log with its trace. A background handler's state is changed under its lock."""
    from reflex.istate.proxy import StateProxy

    if isinstance(failure, BadPayload):
        log.warning("event.refused", handler=handler.__qualname__, reason=str(failure))
    elif not isinstance(failure, SignedOut):
        log.error("event.failed", handler=handler.__qualname__, exc_info=failure)
    if isinstance(state, StateProxy):
        async with state:
            state._show_failure(failure, handler.__qualname__)  # noqa: SLF001 - a public name would make it an endpoint
    else:
        state._show_failure(failure, handler.__qualname__)  # noqa: SLF001 - as above


@functools.lru_cache(maxsize=1024)
def _adapters(handler: Callable[..., Any]) -> dict[str, TypeAdapter[Any]]:
    """By argument. What pydantic knows nothing about is left to the handler."""
    found = {}
    for name, hint in typing.get_type_hints(handler).items():
        try:
            found[name] = TypeAdapter(hint, config=_STRICT)
        except PydanticSchemaGenerationError:
            continue
        except Exception:  # noqa: BLE001 - a model brings its own configuration and refuses a second
            found[name] = TypeAdapter(hint)
    return found


def _check(handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Reflex passes on what it could not convert; here it ends. Reflex's own conversions have happened already."""
    try:
        given = inspect.signature(handler).bind(None, *args, **kwargs).arguments
    except TypeError as wrong:
        raise BadPayload(str(wrong)) from None
    adapters = _adapters(handler)
    for name, value in list(given.items())[1:]:
        if name not in adapters:
            continue
        try:
            adapters[name].validate_python(value)
        except ValidationError as wrong:
            raise BadPayload(f"{name}: {wrong.error_count()} errors") from None
