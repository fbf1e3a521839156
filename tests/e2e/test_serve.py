"""The local page and its endpoint, from outside."""

import http.client
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.inference.explaining import colored, explain, questions, strongest
from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.serving import texts_of
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.test_report import browser  # noqa: F401  # a fixture
from tests.e2e.typed import start, typed_here

EMOJIS = "😂🤣🐔"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = typed_here("train", "debug=tiny", f"paths.logs_dir={logs}", "run_id=run", "baseline=false", "report=false")
    assert done.returncode == 0, done.stderr
    return logs / "run"


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start("serve", f"run={run}", f"port={port}")
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.send_signal(signal.SIGTERM)
    server.ended(30)


def _post(url: str, body: Any) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_scores_are_those_of_the_run(run: Path, address: str) -> None:
    texts = ["one", "", "why did the chicken", EMOJIS, "x" * 100_000]
    status, found = _post(f"{address}/score", {"texts": texts})
    assert status == 200
    assert found[1] == {"label": None, "detail": "a blank text"}
    usable = [row for row in range(5) if row != 1]
    expected = load_scorer(str(run)).score([texts[row] for row in usable])
    values = [list(found[row]["probabilities"].values()) for row in usable]
    assert np.array(values) == pytest.approx(expected, abs=1e-5)
    assert [found[row]["label"] for row in usable] == [("not humor", "humor")[i] for i in expected.argmax(1)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("score", {"texts": []}, 422),
        ("score", {"texts": ["x"] * 1001}, 422),
        ("score", {"texts": ["x" * 100_001]}, 422),
        ("score", {"texts": [1]}, 422),
        ("score", b"no json", 422),
        ("table?name=a.exe", b"MZ", 422),
        ("table?name=a.csv", b"body\nx\n", 422),
    ],
)
def test_what_is_refused(address: str, path: str, body: Any, status: int) -> None:
    assert _post(f"{address}/{path}", body)[0] == status


def test_half_a_surrogate_pair_is_a_character_like_others(address: str) -> None:
    halves = _post(f"{address}/score", b'{"texts": ["a\\ud800b", "a\\ufffdb", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"]}')[
        1
    ]
    assert halves[0] == halves[1]
    assert halves[2] == halves[3]


def test_a_port_that_is_taken_or_none_is_told(run: Path, address: str) -> None:
    for port, told in ((address.rpartition(":")[2], "in use"), ("99999", "0-65535")):
        done = typed_here("serve", f"run={run}", f"port={port}")
        assert_one_message(done, f"host=127.0.0.1 port={port}: found ")
        assert told in done.stderr


@pytest.mark.parametrize("header", [("Content-Length", str(10 * 2**20 + 1)), ("Transfer-Encoding", "chunked")])
def test_a_large_body_is_refused_before_it_is_read(address: str, header: tuple[str, str]) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", "/score")
    connection.putheader(*header)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_table_gives_its_texts(address: str) -> None:
    content = b'id,text\n1,"two\nlines"\n2,a,b\n3,fine\n4,\n'
    status, found = _post(f"{address}/table?name=../../etc/in.csv", content)
    assert (status, found["texts"]) == (200, ["two lines", "fine"])
    assert found["rejected"] == ["line 4: 3 fields, expected 2", "line 6: a blank text"]


@pytest.mark.parametrize("name", ["secret.csv", "secret.tsv", "./secret.csv", "{folder}/secret.csv", "it's secret.csv"])
def test_files_of_the_server_stay_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    name = name.format(folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    separator = "\t" if name.endswith("tsv") else ","
    Path(name).write_text(f"1{separator}the password is swordfish\n0{separator}another\n")
    with pytest.raises(UserError, match=r"found columns .*, expected a column text or transcript") as caught:
        texts_of(name, b"body\nx\n")
    assert "swordfish" not in str(caught.value)
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("my jokes.csv", 'text\nfine\n"Well\nthe bus\nblue"\n', "my jokes.csv, line 3 to 5: a quote that opens in"),
        ("a.tsv", 'id\ttext\n1\t"Well\n2\tthe bus\n3\tblue"\n', "a.tsv, line 2 to 4: a quote that opens in"),
        ("a.csv", 'text\nfine\n"Well\n', "a.csv, line 3: "),
    ],
)
def test_quotes_that_may_swallow_rows_are_told_by_the_clients_name(name: str, content: str, told: str) -> None:
    found = texts_of(name, content.encode())
    assert found["rejected"][0].startswith(told)
    assert "quoting=" not in str(found)
    assert "/" not in str(found)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "text\nä\n".encode("utf-16"), "a.csv, line 1: found a file in UTF-16.* a.csv > a.utf8.csv,"),
        (
            "b c.csv",
            "text\nä\n".encode("utf-16"),
            "b c.csv, line 1: found a file in UTF-16.* file.csv > file.utf8",
        ),
        ("a.csv", b"text,text\nx,y\n", "^a.csv, line 1: found column 'text' twice"),
        ("a.exe", b"text", "^a.exe: found a file ending in '.exe'"),
    ],
)
def test_what_is_refused_is_told_by_the_clients_name(name: str, content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        texts_of(name, content)
    assert "/" not in str(caught.value)


def test_words_add_up_to_the_probability(run: Path) -> None:
    scorer = load_scorer(str(run))
    text = "The chicken, of course, crossed 😂 the road"
    answers = {"classification": {"prediction": ["humor"]}}
    ((name, question),) = questions(scorer, answers, 0)
    assert name == "humor"
    words = explain(scorer, text, question.of)
    told = [text[word.start : word.end] for word in words]
    assert "".join(told).replace(" ", "") == text.replace(" ", "")
    assert len(told) == len(set((word.start, word.end) for word in words))
    with torch.no_grad():
        encoded = scorer.tokenizer(text, return_tensors="pt")
        ids, keep = encoded["input_ids"], torch.tensor(encoded.encodings[0].special_tokens_mask).bool()
        blank = torch.where(keep, ids, scorer.tokenizer.pad_token_id)
        scores = [
            torch.softmax(scorer.learner.model({**encoded, "input_ids": one})["logits"], -1) for one in (ids, blank)
        ]
    assert sum(word.weight for word in words) == pytest.approx(float(scores[0][0, 1] - scores[1][0, 1]), abs=0.01)
    assert any(style for style in colored(text, words).spans)
    assert strongest(text, words).count(",") >= 3


def test_the_page_judges_in_a_browser(browser: Any, address: str, tmp_path: Path) -> None:  # noqa: F811
    from playwright.sync_api import expect

    page = browser.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith(address) else None)
    page.on("dialog", lambda dialog: faults.append("a dialog: HTML in a text was run"))
    page.goto(address)
    evil = "<img src=x onerror=alert(1)> said the chicken"
    for text in ("Why did the chicken cross the road?", EMOJIS, evil, "x " * 49_999):
        page.locator("#text").fill(text)
        with page.expect_response("**/explain"):
            page.locator("#one button").click()
        expect(page.locator("#words")).not_to_be_empty()
        assert page.locator("#verdict").inner_text().startswith(("humor (", "not humor ("))
        assert page.locator("#words").text_content().strip() == text.strip()
    page.locator("#text").fill("   ")
    page.locator("#one button").click()
    expect(page.locator("#verdict")).to_contain_text("blank")
    (tmp_path / "in.csv").write_text(f'text,n\n"{evil}",1\nanother,2\nragged\n')
    page.locator("#file").set_input_files(tmp_path / "in.csv")
    expect(page.locator("#list")).to_have_value(re.compile("another"))
    assert "line 4" in page.locator("#problem").inner_text()
    page.locator("#many button").click()
    page.wait_for_selector("#results tbody tr")
    assert page.locator("#results tbody td").first.inner_text() == evil
    assert page.locator("#results tbody tr").count() == 2
    assert faults == []
    page.close()


def test_mistakes() -> None:
    assert_one_message(typed_here("serve"), "run: found no run")
    assert_one_message(typed_here("serve", "run=nope"), "run=nope")
