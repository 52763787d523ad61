"""Serves the web page until it is told to end."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from facefoundry.errors import InvalidInput
from facefoundry.webpage.protocol import LimitedProtocol

__all__ = ["REFRESH_SECONDS", "read_again", "serve"]

_logger = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
_CLOSE_SECONDS = 3


def serve(
    app: ASGIApp,
    refresh: Callable[[], object],
    host: str,
    port: int,
    *,
    on_start: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve an application, and read records every few seconds, until SIGINT or SIGTERM.

    Args:
        app: The application.
        refresh: Reads the records again.
        host: Address to listen on.
        port: Port; 0 for any free one.
        on_start: Called with the address of the page once it answers.

    Raises:
        InvalidInput: the address is in use or not one of this machine (ADDRESS).
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
        lifespan="off",
        ws="none",
    )
    stop = threading.Event()
    reader = threading.Thread(target=read_again, args=(refresh, stop), name="records", daemon=True)
    reader.start()
    try:
        on_start(address)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        stop.set()
        listener.close()
        reader.join(_CLOSE_SECONDS)


def read_again(refresh: Callable[[], object], stop: threading.Event, seconds: float = REFRESH_SECONDS) -> None:
    """Read records every few seconds, also after a time at which that failed, until told to stop.

    Args:
        refresh: Reads the records again.
        stop: Ends it.
        seconds: Pause before each time.
    """
    while not stop.wait(seconds):
        try:
            refresh()
        except Exception:
            _logger.exception("The records could not be read again")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        message = (
            f"Expected a free address for the web page. {host}:{port} cannot be used: {error}. Give another --port "
        )
        message += "or --host; --port 0 takes any free port."
        raise InvalidInput(message, reason="ADDRESS") from error
    listener.listen(128)
    return listener
