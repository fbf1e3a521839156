"""A local web page and JSON endpoints for one trained run."""

# No postponed annotations here, since FastAPI reads the annotations of the endpoints.

import errno
import re
import socket
import tempfile
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig

from lit_humor.config.saved import no_run, open_run
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.core.settings import command_line, setting, typed
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column
from lit_humor.data.reading.places import name_place
from lit_humor.data.reading.separated import EXPECTED
from lit_humor.data.reading.streams import Chunk, Rejected, check_input, read_chunks
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.inference.explaining import explain, questions
from lit_humor.inference.pictures import only_of_texts
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.pages.page import render
from lit_humor.runs import screen
from lit_humor.tasks.answers import only_answering

try:
    import uvicorn
    from fastapi import FastAPI, HTTPException, Request
    from fastapi.responses import HTMLResponse, JSONResponse
    from pydantic import BaseModel, BeforeValidator, Field, StringConstraints
except ImportError as error:
    raise MissingExtraError("serve.py", package=str(error.name), extra="serve") from None

MAX_TEXTS, MAX_CHARACTERS, MAX_BYTES = 1000, 100_000, 10 * 2**20


def _without_halves(text: Any) -> Any:
    """Replace halves of surrogate pairs, which JSON may contain and no encoding can write; keep other values."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text


_Text = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS), BeforeValidator(_without_halves)]


class Texts(BaseModel):
    """Texts to score."""

    texts: list[_Text] = Field(min_length=1, max_length=MAX_TEXTS)


class OneText(BaseModel):
    """A text to explain."""

    text: _Text


class Endpoints:
    """The functions behind the addresses of the server.

    Args:
        scorer: The run.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.lock = threading.Lock()  # one batch at a time: two would share the cores

    def page(self) -> str:
        """Return the page."""
        limits = {"max_texts": MAX_TEXTS, "max_characters": MAX_CHARACTERS}
        return render("serve.html", title="Is it humor?", run=self.scorer.folder.name, limits=limits)

    def score(self, asked: Texts) -> list[dict[str, Any]]:
        """Return the answers of the tasks to each text; the label of a blank text is None."""
        usable = [row for row, text in enumerate(asked.texts) if text.strip()]
        sent: list[dict[str, Any]] = [{"label": None, "detail": "a blank text"} for _ in asked.texts]
        if not usable:
            return sent
        with self.lock:
            answers = self.scorer.answer([asked.texts[row] for row in usable])
        for index, row in enumerate(usable):
            asked_tasks = {name: task for name, task in self.scorer.tasks.items() if task.answers_texts}
            of_tasks = {name: task.served(answers[name], index) for name, task in asked_tasks.items()}
            sent[row] = next(iter(of_tasks.values())) | ({"tasks": of_tasks} if len(of_tasks) > 1 else {})
        return sent

    def explain(self, asked: OneText) -> dict[str, Any]:
        """Return the words of a text with their weights in the answer of the first task that can be explained."""
        if not asked.text.strip():
            return {"label": None, "words": []}
        with self.lock:
            answers = self.scorer.answer([asked.text])
            try:
                label, question = questions(self.scorer, answers, 0)[0]
            except UserError as error:
                raise HTTPException(422, str(error)) from None
            words = explain(self.scorer, asked.text, question.of)
        return {"label": label, "words": [word._asdict() for word in words]}

    async def table(self, request: Request, name: str) -> dict[str, Any]:
        """Return the texts of an uploaded file."""
        try:
            return texts_of(name, await request.body())
        except UserError as error:
            raise HTTPException(422, str(error)) from None


def serve(cfg: DictConfig) -> None:
    """Serve ``cfg.run`` until Ctrl-C."""
    set_up_libraries()
    if not cfg.run:
        raise no_run(cfg.paths.logs_dir)
    place = _take_port(cfg.host, cfg.port)
    saved = open_run(cfg.run)
    only_of_texts(saved, f"run={cfg.run}")
    scorer = load_scorer(saved, cfg.ckpt)
    ask = command_line("predict", setting("run", str(scorer.folder)), "query=...")
    only_answering(scorer.tasks.values(), f"run={cfg.run}", ask + " shows the nearest texts")
    app = build_app(scorer)
    if cfg.host not in ("127.0.0.1", "localhost", "::1"):
        screen.show(f"Warning: everyone who reaches {cfg.host} can use this server; it has no login.")
    address = f"http://{cfg.host}:{cfg.port}"
    asked = """-H 'Content-Type: application/json' -d '{"texts": ["..."]}'"""
    screen.show(f"{address} (Ctrl-C ends it)", f"For programs: curl {address}/score {asked}; {address}/openapi.json")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[place])


def _take_port(host: str, port: int) -> socket.socket:
    """Open the socket before the model is loaded, which takes seconds, so that errors come at once."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        is_elsewhere = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        expected = "an address of this machine" if is_elsewhere else "a free port"
        fix = "set host=127.0.0.1" if is_elsewhere else f"set port={_free_port(host)}"
        raise UserError(f"host={host} port={port}", found=reason, expected=expected, fix=fix) from None


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as place:
        return place.getsockname()[1]


def build_app(scorer: Scorer) -> FastAPI:
    """Build the application: ``GET /``, ``POST /score``, ``/explain`` and ``/table``; see ``Endpoints``."""
    endpoints = Endpoints(scorer)
    app = FastAPI(
        title=f"lit_humor: {scorer.folder.name}", docs_url=None, redoc_url=None
    )  # they load code from another server
    app.get("/", response_class=HTMLResponse)(endpoints.page)
    for name in ("score", "explain", "table"):
        app.post(f"/{name}")(getattr(endpoints, name))

    @app.middleware("http")
    async def bound_body(request: Request, call_next: Any) -> Any:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > MAX_BYTES:
            return JSONResponse({"detail": f"a body of more than {MAX_BYTES:,} bytes, or of unknown length"}, 413)
        return await call_next(request)

    return app


def texts_of(name: str, content: bytes) -> dict[str, Any]:
    """Return ``texts`` of an uploaded file, each without line breaks, and ``rejected``, the reasons of left out rows.

    Raises:
        UserError: Its suffix is unknown, it has no column of texts, or no rows, or too many rows.
    """
    chunks, notes = _read_upload(name, content)
    if len(chunks) != 1:
        found, fix = "no rows", "put a header and rows into it"
        if chunks:
            found = f"more than {MAX_TEXTS} rows"
            fix = f"python src/lit_humor/predict.py run=<run> {typed('input', name)}"
        raise UserError(name, found=found, expected=f"1 to {MAX_TEXTS}", fix=fix)
    rows, rejected = chunks[0].rows, chunks[0].rejected
    column = find_column(list(rows[0]) if rows else [], None, TEXT_COLUMNS, None, name, is_path=False)
    texts = [" ".join(str(row.get(column) or "").split()) for row in rows]
    blank = [Rejected(line, "a blank text", "") for line, text in zip(chunks[0].lines, texts, strict=True) if not text]
    notes += [f"{name_place(row.line)}: {row.reason}" for row in sorted([*rejected, *blank])]
    return {"texts": [text for text in texts if text], "rejected": notes}


def _read_upload(name: str, content: bytes) -> tuple[list[Chunk], list[str]]:
    """Return the first rows of an uploaded file, and a note if the meaning of its quotes is not clear.

    The page has no setting for quotes: if they are ambiguous, they are taken to enclose texts of several lines.
    """
    notes = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{Path(name).suffix.lower()}"
        path.write_bytes(content)
        stem = Path(name).stem if re.fullmatch(r"[\w.-]+", Path(name).stem) else "file"  # also safe in a shell command

        def renamed(text: str, shown: str = name) -> str:
            return text.replace(f"input={path}", shown).replace(str(path), shown).replace(f"{folder}/file", stem)

        try:
            if path.suffix in EXPECTED:
                check_input(path, "auto")
        except UserError as error:
            notes = [f"{renamed(error.where)}: {renamed(error.found)}; taken as a text of several lines"]
        try:
            return list(islice(read_chunks(path, MAX_TEXTS, "standard"), 2)), notes
        except UserError as error:
            found, fix = renamed(error.found), renamed(error.fix, f"{stem}{path.suffix}")
            raise UserError(renamed(error.where), found=found, expected=error.expected, fix=fix) from None
