"""Whether anybody answers at an address of a Ray: itself it would wait for minutes."""

from __future__ import annotations

import socket

PATIENCE = 5.0
"""Seconds: a head on the other side of the world answers within one."""


def knock(address: str, within: float = PATIENCE) -> None:
    """Opens a connection to `host:port` or `[::1]:port`, and closes it again.

    Raises:
        ValueError: it is no such address.
        OSError: nobody answers within so many seconds.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"an address must be host:port, auto or local, got {address}")
    # The brackets belong to the address, not to the host.
    bare = host.removeprefix("[").removesuffix("]")
    socket.create_connection((bare, int(port)), timeout=within).close()
