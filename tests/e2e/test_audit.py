"""The audit as typed."""

import csv
import json
import re
from pathlib import Path

import pytest

from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import typed, typed_here
from tests.unit.planting import planted
from tests.unit.test_splits import distinct_texts


def test_audit_names_files_and_lines_and_writes_a_clean_copy(tmp_path: Path) -> None:
    train, test = planted().write(tmp_path)
    arguments = [
        f"data.train_path={train}",
        f"data.test_path={test}",
        "data.group_column=talk",
        "model=tiny",
        "data.leaks=error",
    ]
    done = typed(
        "audit", "data=csv", *arguments, f"fix={tmp_path / 'clean'}", f"paths.logs_dir={tmp_path}", "run_id=audit"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["near_duplicates_across"]["count"] >= 190
    assert kinds["groups_across"]["cases"][0][0]["file"] == str(train)
    page = (tmp_path / "audit" / "audit.html").read_text()
    for told in ("#lol", "near_duplicates_across", "Cleaned copy", "Rows before and after"):
        assert told in done.stdout
    assert "#lol" in page
    assert not re.findall(r"(?:src|href)=", page), "self-contained"
    assert {path.name for path in (tmp_path / "clean").iterdir()} == {"train.csv", "test.csv", "changes.csv"}


def test_a_class_that_a_clean_copy_loses_is_told(tmp_path: Path) -> None:
    rows = [f"the {animal} went to the market and bought a hat,{label}" for label, animal in enumerate(("cat", "dog"))]
    others = [f"{word} {word[::-1]} {n},{n % 2}" for n, word in enumerate(("tea", "rain", "sun", "book", "train"))]
    (tmp_path / "train.csv").write_text("\n".join(["text,is_humor", *others, *rows]), encoding="utf-8")
    (tmp_path / "test.csv").write_text(f"text,is_humor\n{rows[1]}\nquite another thing,0\n", encoding="utf-8")
    done = typed_here(
        *("audit", "data=csv", f"data.train_path={tmp_path / 'train.csv'}", f"data.test_path={tmp_path / 'test.csv'}"),
        *("model=tiny", f"paths.logs_dir={tmp_path}", f"fix={tmp_path / 'clean'}"),
    )
    assert done.returncode == 0, done.stderr
    assert "no row of class 'humor' is left in 'test'" in done.stdout
    assert "1 -> 0" in done.stdout
    assert "Labels were not checked" in done.stdout


def test_texts_are_escaped_and_few_rows_are_enough(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("text,is_humor\n<script>alert(1)</script>,1\nplain,0\n", encoding="utf-8")
    done = typed_here(
        *("audit", "data=csv", f"data.train_path={tmp_path / 'few.csv'}", "model=tiny"),
        *(f"paths.logs_dir={tmp_path}", "run_id=audit"),
    )
    assert done.returncode == 0, done.stderr
    assert "<script>" not in (tmp_path / "audit" / "audit.html").read_text()


def test_damage_is_mended_before_duplicates_are_looked_for(tmp_path: Path) -> None:
    rows = [(text, "a context" if number % 2 else "", number % 2) for number, text in enumerate(distinct_texts(60))]
    rows[4:8] = [(rows[0][0].replace(" ", " &amp; "), "", 0), (rows[0][0].replace(" ", " & "), "", 0), *rows[6:8]]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "context", "label"), *rows])
    done = typed_here(
        *("audit", "data=csv", f"data.train_path={path}", "data.text_pair_column=context", "model=tiny"),
        *(f"paths.logs_dir={tmp_path}", "run_id=audit", f"fix={tmp_path / 'clean'}"),
    )
    assert done.returncode == 0, done.stderr
    kinds = {
        finding["kind"]: finding for finding in json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]
    }
    assert kinds["html_entities"]["cases"][0][0]["mended"] == rows[5][0]
    assert len(kinds["duplicates_within"]["cases"][0]) == 3
    assert any("second text: filled" in case[0]["text"] for case in kinds["shape_leaks"]["cases"])
    assert "58 rows kept" in done.stdout
    changes = (tmp_path / "clean" / "changes.csv").read_text()
    assert f'dropped,"equal to {path}, line 2"' in changes
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "second text: filled" in page


def test_what_was_not_measured_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "alike.csv"
    texts = [
        f"Why did the hen number {n} cross the road? Because the other side was nicer than this one" for n in range(60)
    ]
    path.write_text("\n".join(["text,label", *(f"{text},{n % 2}" for n, text in enumerate(texts))]), encoding="utf-8")
    done = typed_here(
        *("audit", "data=csv", f"data.train_path={path}", "model=tiny", f"paths.logs_dir={tmp_path}", "run_id=audit")
    )
    assert done.returncode == 0, done.stderr
    why = "TF-IDF was not fitted, because the rows of class"
    assert why in done.stdout
    assert "is below 0.7" not in done.stdout
    assert why in (tmp_path / "audit" / "audit.html").read_text()


def test_agreement_of_raters_is_that_of_a_textbook(tmp_path: Path) -> None:
    """Krippendorff 2011, section C: nominal alpha .743 of four raters with gaps; a second file of perfect agreement."""
    raters = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    names = [f"rater_{number}" for number in range(1, 5)]
    ratings = [[cell.replace(".", "") for cell in row] for row in zip(*raters, strict=True)]
    texts = distinct_texts(16)
    test = [["1"] * 4, ["2.0", " 2", "", "2"]] * 2
    for name, part, offset in (("train", ratings, 0), ("test", test, 12)):
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = ([texts[row + offset], row % 2, *cells] for row, cells in enumerate(part))
            csv.writer(file).writerows([("text", "label", *names), *rows])
    done = typed_here(
        *("audit", "data=csv", f"data.train_path={tmp_path / 'train.csv'}", f"data.test_path={tmp_path / 'test.csv'}"),
        *("model=tiny", f"paths.logs_dir={tmp_path}", "run_id=audit", f"raters=[{','.join(names)}]"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())["agreement"]
    assert found["train"]["alpha"] == pytest.approx(0.743, abs=5e-4)
    assert (found["train"]["rows"], found["train"]["num_rows"], found["train"]["ratings"]) == (11, 12, 40)
    assert found["train"]["values"] == {"1": 9, "2": 13, "3": 10, "4": 5, "5": 3}, "not the one of a row alone"
    assert found["test"]["alpha"] == 1
    assert found["test"]["values"] == {"1": 8, "2": 6}
    assert (found["all splits"]["rows"], found["all splits"]["ratings"]) == (15, 54)
    page = (tmp_path / "audit" / "audit.html").read_text()
    for told in ("0.743 [", "1.000 [1.000, 1.000]"):
        assert told in done.stdout
        assert told in page
    assert "Krippendorff" in page


def test_raters_that_are_no_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label,rater_1,rater_2\na joke,1,1,0\na report,0,0,0\n", encoding="utf-8")
    arguments = ("data=csv", f"data.train_path={path}", "model=tiny", f"paths.logs_dir={tmp_path / 'logs'}")
    told = typed_here("audit", *arguments, "raters=[rater_1,rater2]")
    assert_one_message(told, "raters: found [rater_1, rater2]", "set 'raters=[rater_1,rater_2]'")
    assert "Krippendorff" not in typed_here("audit", *arguments).stdout


@pytest.mark.parametrize(
    ("argument", "part"),
    [("similarity=2", "similarity"), ("fix=.", "a path that exists already"), ("data=csv", "data.train_path")],
)
def test_mistakes(argument: str, part: str, tmp_path: Path) -> None:
    done = typed_here("audit", "model=tiny", f"paths.logs_dir={tmp_path / 'logs'}", argument)
    assert_one_message(done, part)
    assert not (tmp_path / "logs").exists()


def test_rows_with_answers_are_audited_as_the_model_reads_them(tmp_path: Path) -> None:
    long = " ".join(["word"] * 40)
    rows = [
        {"query": "Who is there?", "pos": ["A cat."], "neg": ["a CAT"]},
        {"query": "Who is there?", "pos": ["A dog."]},
        {"query": "And <b>then</b>?", "pos": [long]},
    ]
    turns = [{"text": ["Say something about the sun", "It is warm today."]}]
    for name, lines in {"pairs": rows, "turns": turns, "test": [{"query": "Is it so?", "pos": ["a dog!"]}]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = [
        f"data.{key}={tmp_path / name}.jsonl"
        for key, name in {"train_path": "pairs", "test_path": "test", "writing_path": "turns"}.items()
    ]
    logs = (f"paths.logs_dir={tmp_path}", f"paths.cache_dir={tmp_path}/cache", "run_id=audit")
    shared = ("data.writing_share=0.8", "model=gritlm_tiny", "data.max_length=64")
    done = typed_here("audit", "data=joke_pairs", *files, *shared, *logs)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    kinds = {finding["kind"]: finding["count"] for finding in found["findings"]}
    assert {kind: count for kind, count in kinds.items() if kind.startswith(("answers", "negatives", "several"))} == {
        "negatives_equal": 1,
        "several_answers": 1,
        "answers_across": 1,
        "answers_cut": 1,
    }
    assert "duplicates_within" not in kinds, "neither another answer nor a row that writing_share repeats"
    assert found["data"]["splits"]["train"]["rows"] == 4
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "answer: A dog." in page
    assert "answers of more than 15 tokens" in page
    for told in (page, done.stdout):
        assert "simple models" not in told.casefold(), "there are no classes"


def test_a_clean_copy_keeps_texts_with_several_answers(tmp_path: Path) -> None:
    rows = ["why so sad?,no reason", "why so sad?,the rain", "Why so SAD?,The rain!", "another,ending of it"]
    (tmp_path / "rows.csv").write_text("\n".join(["text,end", *rows]) + "\n")
    arguments = ("data=csv", f"data.train_path={tmp_path}/rows.csv", "data.answer_column=end", "model=tiny")
    done = typed_here("audit", *arguments, f"paths.logs_dir={tmp_path}", f"fix={tmp_path}/clean")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean" / "train.csv").read_text().splitlines()[1:] == [*rows[:2], rows[3]]
