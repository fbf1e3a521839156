"""Whether the hub is there is found out in seconds."""

import socket
import threading
from collections.abc import Iterator

import huggingface_hub.constants as hub
import pytest

from lit_humor.models import reach


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("is_there", [True, False])
def test_the_cache_is_used_where_nothing_answers(
    monkeypatch: pytest.MonkeyPatch, listening: int, is_there: bool
) -> None:
    port = listening if is_there else 9  # discard: nobody listens
    monkeypatch.setattr(reach, "getproxies", dict)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{port}")
    reach.use_cache_if_hub_is_unreachable.__wrapped__()
    assert hub.HF_HUB_OFFLINE is not is_there


def test_an_address_that_swallows_everything_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def swallow(*_: object, **__: object) -> None:
        over.wait(5)
        raise TimeoutError

    monkeypatch.setattr(reach, "_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "create_connection", swallow)
    assert not reach._answers("hub", 443)
    over.set()


def test_a_proxy_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "getproxies", lambda: {"https": "http://proxy"})
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    reach.use_cache_if_hub_is_unreachable.__wrapped__()
    assert hub.HF_HUB_OFFLINE is False
