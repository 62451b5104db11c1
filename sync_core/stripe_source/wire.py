"""One request to Stripe and its answer as bytes, through the SDK.

The SDK makes the request: authentication, version, telemetry. It does not get the answer's body: it would log, decode and
parse it with the standard library into OrderedDicts, and sort errors by its own rules. So our HTTPClient hands it an empty
object and keeps the answer beside it. Measured, CPU for a page of 100 customers (100 kB) in µs an object: the SDK alone 22,
this way 11, httpx without the SDK 9; of that 3 are orjson, and a request without objects costs 650 µs in all.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
import stripe

from sync_core.stripe_source.governor import Leave
from sync_core.stripe_source.pool import transport
from sync_core.stripe_source.retry import Broken, Cause

# Every shape is accepted, but only this one is asked for: what a run reads must not depend on the account's own default.
STRIPE_VERSION: Final = "2026-06-24.dahlia"
# What the SDK would ask for by itself: each request says the other one instead.
SDK_VERSION: Final[str] = stripe.api_version

_TIMEOUT: Final = httpx.Timeout(connect=5.0, read=30.0, write=10.0, pool=30.0)

Params = list[tuple[str, str | int]]
Watch = Callable[[str, Any], Awaitable[None]]

# The SDK lies between who has it and who needs it.
_LEAVE: ContextVar[Leave | None] = ContextVar("leave", default=None)


def http_client(*, max_connections: int = 64) -> httpx.AsyncClient:
    """The one connection pool of a process. No proxy from the environment: it would be sent the key."""
    _settle_sniffio()
    lean = transport(max_connections=max_connections, idle_seconds=30.0)
    return httpx.AsyncClient(timeout=_TIMEOUT, transport=lean, trust_env=False, follow_redirects=False)


def _settle_sniffio() -> None:
    """Httpcore tries to import sniffio four times a request; where it is not installed, each try searches the whole
    path (measured: 300 µs a request). None in its place is Python's own word for "known not to be there".
    """
    if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]  # documented, but typed as modules only


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionBroken(Exception):  # noqa: N818 - it is what happened, not a mistake
    """No whole answer came; `outcome` says why."""

    def __init__(self, outcome: Broken) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class Wire:
    """GET requests of one key at one address."""

    def __init__(self, *, api_key: str, base_url: str, http: httpx.AsyncClient) -> None:
        base = base_url.rstrip("/")
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=STRIPE_VERSION,
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=_Transport(http, _accepted_encoding(base)),
        )

    async def get(self, path: str, params: Params, leave: Leave | None = None) -> Answer:
        """Where there is a limit, `leave` is asked once more when the connection is there and the first byte is about to go."""
        _LEAVE.set(leave)
        # The query is encoded here: the SDK writes expand[0] for expand[], and parses what it has just written.
        url = f"{path}?{urlencode(params, safe='[]')}" if params else path
        response = await self._client.raw_request_async("get", url)
        headers = response.headers
        assert isinstance(headers, _AnswerBeside)
        return headers.answer


def path_id(external_id: str) -> str:
    """An id as a path's part. Price, product and plan ids may be anything that a person typed."""
    return quote(external_id, safe="")


class _AnswerBeside(dict[str, str]):
    """What the SDK takes for the headers."""

    answer: Answer


class _Transport(stripe.HTTPClient):
    name = "httpx"

    def __init__(self, http: httpx.AsyncClient, encoding: str) -> None:
        super().__init__()
        self._http = http
        self._encoding = encoding
        # Each read has its own limit; an answer that trickles would keep them all and never end.
        self._whole_seconds = 2.0 * (http.timeout.read or 30.0)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        leave = _LEAVE.get()
        request = self._http.build_request(
            method,
            url,
            headers={**headers, "Accept-Encoding": self._encoding},
            content=post_data,
            extensions={"trace": _watch(leave)} if leave else None,
        )
        try:
            async with asyncio.timeout(self._whole_seconds):
                response = await self._http.send(request)
        except TimeoutError:
            raise ConnectionBroken(
                Broken(Cause.NETWORK, f"no whole answer within {self._whole_seconds:.0f} s")
            ) from None
        except httpx.TransportError as error:
            raise ConnectionBroken(_broken(error)) from None
        except (httpx.DecodingError, httpx.StreamError) as error:
            raise ConnectionBroken(Broken(Cause.BODY, type(error).__name__)) from None
        beside = _AnswerBeside({"Request-Id": response.headers.get("request-id", "")})
        beside.answer = Answer(response.status_code, response.headers, response.content)
        return b"{}", 200, beside


def _watch(leave: Leave) -> Watch:
    """As httpcore calls it: https://www.encode.io/httpcore/extensions/#trace"""

    async def watch(event: str, _: Any) -> None:
        if event.endswith(".send_request_headers.started"):
            await leave.about_to_go()
        elif event.endswith(".send_request_headers.complete"):
            leave.gone()

    return watch


def _broken(error: httpx.TransportError) -> Broken:
    """The messages of httpx quote addresses, never headers; the class tells what they leave out."""
    cause = Cause.BODY if isinstance(error, httpx.RemoteProtocolError) else Cause.NETWORK
    return Broken(cause, f"{type(error).__name__}: {error}".rstrip(": "))


def _accepted_encoding(base_url: str) -> str:
    """Compressed pages save the way from Stripe; on this machine there is no way to save."""
    host = urlsplit(base_url).hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return "identity" if local else "gzip"
