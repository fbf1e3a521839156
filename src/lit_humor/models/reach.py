"""Checks in seconds whether the hub can be reached; the hub's own library tries for most of a minute."""

from __future__ import annotations

import functools
import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

_TIMEOUT_SECONDS = 3.0


@functools.cache
def use_cache_if_hub_is_unreachable() -> None:
    """Switch to offline mode if nothing answers at the hub's address; behind a proxy the library itself decides."""
    if not constants.HF_HUB_OFFLINE and not getproxies():
        address = urlsplit(constants.ENDPOINT)
        port = address.port or (80 if address.scheme == "http" else 443)
        constants.HF_HUB_OFFLINE = not _answers(address.hostname or "", port)


def _answers(host: str, port: int) -> bool:
    """Whether a server accepts connections; checked in a thread, since a name lookup has no time limit."""
    is_connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS).close()
        except OSError:
            return
        is_connected.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_TIMEOUT_SECONDS)
    return is_connected.is_set()
