"""Pushing an export, against a server on this machine that answers like the hub."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub.constants as hub
import pytest

from lit_humor.core.errors import UserError
from lit_humor.exporters.hub import check_repository, push_folder


class _Hub(BaseHTTPRequestHandler):
    refuses = False
    created: ClassVar[dict[str, Any]] = {}
    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self._read()
        address = f"http://{self.headers['Host']}/me/joker"
        if type(self).refuses:
            return self._answer(403, {"error": "this token may only read"})
        if self.path == "/api/repos/create":
            self.created.update(json.loads(body))
            return self._answer(200, {"url": address})
        if self.path.endswith("/preupload/main"):
            asked = [one["path"] for one in json.loads(body)["files"]]
            files = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in asked]
            return self._answer(200, {"files": files})
        if not self.path.endswith("/commit/main"):  # a look at the card's header
            return self._answer(200, {"errors": [], "warnings": []})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self._answer(200, {"commitOid": "0" * 40, "commitUrl": f"{address}/commit/{'0' * 40}"})

    def _read(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Error-Message", str(content.get("error", "")))
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    handler = type("Hub", (_Hub,), {"created": {}, "files": {}})
    listening = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_DISABLE_XET", True)
    yield handler
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# joker\n")
    return tmp_path


def test_every_file_arrives_in_a_private_model(server: type[_Hub], folder: Path) -> None:
    assert push_folder(folder, "me/joker", private=True).endswith("me/joker")
    assert server.created["name"] == "joker"
    assert server.created["organization"] == "me"
    assert server.created["visibility"] == "private"
    assert server.files == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_refusal_says_what_to_do(server: type[_Hub], folder: Path) -> None:
    server.refuses = True
    with pytest.raises(UserError, match=r"(?s)may only read.*hf auth login, then hf upload me/joker"):
        push_folder(folder, "me/joker", private=True)


def test_offline_is_no_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="found a hub that does not take it"):
        push_folder(folder, "me/joker", private=True)


@pytest.mark.parametrize("name", ["joker", "me/no good", "../../me", "me/a/b"])
def test_names(name: str) -> None:
    check_repository("me/joker")
    with pytest.raises(UserError, match="expected <owner>/<name>"):
        check_repository(name)
