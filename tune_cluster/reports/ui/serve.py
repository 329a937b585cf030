"""Serves the page until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from search_spaces import needs_extra
from tune_cluster.plain_text import one_line
from tune_cluster.reports.overview import study_folders

LOOPBACK = "127.0.0.1"


def serve(folder: Path, *, port: int, allow_stop: bool) -> None:
    """Print the address of the page with its token, and serve it on loopback.

    Raises:
        ValueError: the folder has no study, or the port is in use.
    """
    with needs_extra("ui"):
        import uvicorn

        from tune_cluster.reports.ui.app import application
    study_folders(folder)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        # A browser that is faster than the server waits.
        listening.listen()
    except OSError as error:
        raise ValueError(f"--port {port}: {error.strerror}; give another one, or 0") from None
    token = secrets.token_urlsafe(16)
    made = application(folder, token=token, allow_stop=allow_stop)
    address = f"http://{LOOPBACK}:{listening.getsockname()[1]}/?token={token}"
    print(one_line(f"page      {address}"), flush=True)
    print("end it with Ctrl-C; by ssh: ssh -L PORT:127.0.0.1:PORT HOST", flush=True)
    server = uvicorn.Server(uvicorn.Config(made, log_level="warning"))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
