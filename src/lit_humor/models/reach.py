"""Whether the hub can be reached, found out in seconds: the hub's own library tries for the better part of a minute."""

from __future__ import annotations

import functools
import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

_PATIENCE_SECONDS = 3.0


@functools.cache
def use_cache_where_the_hub_is_away() -> None:
    """Work with what is cached where nothing answers at the hub's address; behind a proxy leave that to the library."""
    if not constants.HF_HUB_OFFLINE and not getproxies():
        address = urlsplit(constants.ENDPOINT)
        port = address.port or (80 if address.scheme == "http" else 443)
        constants.HF_HUB_OFFLINE = not _answers(address.hostname or "", port)


def _answers(host: str, port: int) -> bool:
    """In a thread: to look up a name knows no time limit."""
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=_PATIENCE_SECONDS).close()
        except OSError:
            return
        answered.set()

    knocking = threading.Thread(target=knock, daemon=True)
    knocking.start()
    knocking.join(_PATIENCE_SECONDS)
    return answered.is_set()
