"""Ports for servers that a test starts: free now, and taken by nobody before the server has them."""

from __future__ import annotations

import socket
from pathlib import Path
from random import SystemRandom

# Above the last one that browsers refuse to call.
_LEAST, _MOST = 10_100, 32_000
# Connections of this machine, of which tests make hundreds a second, get their own ends from here on up.
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    most = min(_MOST, _given_out_from() - 1)
    for port in SystemRandom().sample(range(_LEAST, most), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port is free between {_LEAST} and {most}")


def _given_out_from() -> int:
    try:
        least = int(_GIVEN_OUT.read_text().split()[0])
    except (OSError, ValueError):
        return _MOST
    return least if least > _LEAST + 1_000 else _MOST
