"""Where requests may come from: the dashboard's own address, and a local server's other local names."""

from __future__ import annotations

from urllib.parse import urlsplit

from sync_core.settings import get_settings


def allowed_origins() -> tuple[str, ...]:
    settings = get_settings()
    if settings.public_url:
        return (settings.origin,)
    return tuple(f"http://{host}:{settings.port}" for host in ("localhost", "127.0.0.1", "[::1]"))


def from_elsewhere(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser says that another site started this. Programs send no Origin, and have no cookie to abuse."""
    origin = headers.get(b"origin")
    if origin is not None:
        return origin.decode("latin-1") not in allowed_origins()
    return headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none")


def local_path(wanted: str) -> str:
    """Where to go after sign-in: a path of this server, whatever was asked for."""
    parts = urlsplit(wanted)
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/auth/")) and wanted.isprintable()
    return wanted if plain and not parts.netloc and "\\" not in wanted else "/"
