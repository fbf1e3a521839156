"""Each ready data set, in files of the form in which its owners give it out (the texts are made up)."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lit_humor.config.command import CONFIG_DIR, compose
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.engine.factory import build_datamodule
from lit_humor.models.pretrained import Pretrained
from tests.conftest import ROOT

# Not data sets of others.
GENERAL = {"batching", "csv", "hub", "demo", "tiny", "joke_halves", "joke_pairs"}
GENERAL |= {"cartoons", "pictures", "cartoon_questions", "questions"}
NAMES = sorted(
    path.stem
    for path in (Path(CONFIG_DIR) / "data").glob("*.yaml")
    if path.stem not in GENERAL and not path.stem.endswith("_tiny")
)
WHOLE = ["data.val_fraction=0", "data.test_fraction=0"]  # no split is drawn


@dataclass
class Case:
    """Files of a data set, the settings that name them, and what is to be read from them, alike in each split."""

    files: dict[str, str]
    settings: list[str]
    texts: dict[str, list[str]]
    classes: tuple[str, ...] = ("not humor", "humor")
    labels: list[int] = field(default_factory=lambda: [1, 0])
    groups: list[str] | None = None
    pairs: list[str] | None = None
    targets: list[float] | None = None


HUB = ["data.name={folder}"]
CASES = {
    "hahackathon": Case(
        {
            "train.csv": "id,text,is_humor,humor_rating,humor_controversy,offense_rating\n"
            '1,"Ha, ""ha""",1,2.4,1,0.2\n2,Rain,0,,,0.0\n',
            "dev.csv": "id,text,is_humor,humor_rating,humor_controversy,offense_rating\n"
            "8001,Ho,1,2.1,0,0.1\n8002,Snow,0,,,0.0\n",
        },
        HUB,
        {"train": ['Ha, "ha"', "Rain"], "val": ["Ho", "Snow"]},
    ),
    "haha_spanish": Case(
        {
            "train.csv": "id,text,is_humor\n7,¿Qué le dice un pez a otro? Nada.,1\n8,Hoy llueve,0\n",
            "test.csv": "id,text,is_humor\n9,Ja ja,1\n10,Mañana no,0\n",
        },
        HUB,
        {"train": ["¿Qué le dice un pez a otro? Nada.", "Hoy llueve"], "test": ["Ja ja", "Mañana no"]},
    ),
    "colbert_200k": Case(
        {"dataset.csv": "text,humor\nA cat walks into a bar,True\nMarkets close higher,False\n"},
        HUB,
        {"train": ["A cat walks into a bar", "Markets close higher"]},
    ),
    "ur_funny": Case(
        {
            f"{split}.csv": f'context,punchline,label\n"first, second",ha {split},1\nthird,thanks {split},0\n'
            for split in ("train", "validation", "test")
        },
        HUB,
        {
            "train": ["ha train", "thanks train"],
            "val": ["ha validation", "thanks validation"],
            "test": ["ha test", "thanks test"],
        },
        pairs=["first, second", "third"],
    ),
    "puntuguese": Case(
        {
            "train.csv": "id,text,is_humor,pair\n"
            '5.1.H,"Qual é o mar mais frio, afinal? O gelado.",1,5.1\n4.2.N,Que horas são? Duas.,0,4.2\n',
            "dev.csv": "id,text,is_humor,pair\n5.1.H,Um peixe nada.,1,5.1\n4.2.N,Um peixe come.,0,4.2\n",
        },
        HUB,
        {
            "train": ["Qual é o mar mais frio, afinal? O gelado.", "Que horas são? Duas."],
            "val": ["Um peixe nada.", "Um peixe come."],
        },
        groups=["5.1", "4.2"],
    ),
    "arsarcasm": Case(
        {
            f"ArSarcasm_{split}.csv": "dialect,sarcasm,sentiment,original_sentiment,tweet,source\n"
            f'msa,True,negative,negative,"""يا له من طقس, {split}""",semeval\n'
            f"egypt,False,neutral,positive,صباح الخير {split},astd\n"
            for split in ("train", "test")
        },
        HUB,
        {split: [f'"يا له من طقس, {split}"', f"صباح الخير {split}"] for split in ("train", "test")},
        classes=("non-sarcastic", "sarcastic"),
    ),
    "ccl_chinese": Case(
        {
            "zh_data_with_label.csv": "ID,D_ID,U_ID,Speaker,Utterance,Label\n"
            "0,0,0,甲,猫会做饭，只是不洗碗,1\n1,0,1,乙,今天下雨了,0\n2,1,0,丙,明天见,0\n"
        },
        ["data.train_path={folder}/zh_data_with_label.csv"],
        {"train": ["猫会做饭，只是不洗碗", "今天下雨了", "明天见"]},
        labels=[1, 0, 0],
        groups=["0", "0", "1"],
    ),
    "fun_russian": Case(
        {
            f"{name}.rows.json": json.dumps(
                [{"text": f"— Кот дома? — Занят. ({name})", "label": 1}, {"text": f"Идёт дождь ({name})", "label": 0}]
            )
            for name in ("train", "test")
        },
        ["data.train_path={folder}/train.rows.json", "data.test_path={folder}/test.rows.json"],
        {name: [f"— Кот дома? — Занят. ({name})", f"Идёт дождь ({name})"] for name in ("train", "test")},
    ),
    "kowit_russian": Case(
        {
            name: "annotations,summary,is_wordplay,date,article_url,headline,lead,article_authors\n"
            "\"[{'headline_substring': 'Кот', 'reference_url': ''}]\","
            '"Первая строка\nвторая, и ""кавычки"" внутри",'
            f"True,2023-08-31,https://example.org/1,{name}: кот в мешке не утаишь,О котах,Автор\n"
            f",Сводка,False,2023-08-05,https://example.org/2,{name}: цены выросли,О ценах,Автор\n"
            for name in ("dataset.csv", "dev_dataset.csv")
        },
        [
            "data.train_path={folder}/dataset.csv",
            "data.val_path={folder}/dev_dataset.csv",
            "data.text_pair_column=lead",
        ],
        {
            split: [f"{name}: кот в мешке не утаишь", f"{name}: цены выросли"]
            for split, name in (("train", "dataset.csv"), ("val", "dev_dataset.csv"))
        },
        classes=("no wordplay", "wordplay"),
        pairs=["О котах", "О ценах"],
    ),
    "ironita": Case(
        {
            "training_ironita2018.tsv": "id\ttext\tirony\tsarcasm\ttopic\n"
            "811\tChe bello, piove ancora\t1\t0\tTWITTIRO\n812\tOggi piove\t0\t0\tTW-BS\n",
            "test_gold_ironita2018.csv": "id;text;irony;sarcasm;topic\n"
            "595;Bravo, davvero bravo;1;1;TWITA\n596;Domani sole;0;0;TWITA\n",
        },
        [
            "data.train_path={folder}/training_ironita2018.tsv",
            "data.test_path={folder}/test_gold_ironita2018.csv",
        ],
        {"train": ["Che bello, piove ancora", "Oggi piove"], "test": ["Bravo, davvero bravo", "Domani sole"]},
        classes=("no", "yes"),
    ),
    "humicroedit": Case(
        {
            f"{name}.csv": "id,original,edit,grades,meanGrade\n"
            f'11,"{name}: Mayor opens <bridge/> , again",fridge,33210,1.8\n12,{name}: <Rain/> expected,Jam,10000,0.2\n'
            for name in ("train", "dev", "test")
        },
        [
            "task=regression",
            "data.train_path={folder}/train.csv",
            "data.val_path={folder}/dev.csv",
            "data.test_path={folder}/test.csv",
        ],
        {
            split: [f"{name}: Mayor opens <bridge/> , again", f"{name}: <Rain/> expected"]
            for split, name in (("train", "train"), ("val", "dev"), ("test", "test"))
        },
        pairs=["fridge", "Jam"],
        targets=[1.8, 0.2],
    ),
}  # fmt: skip


@pytest.fixture
def load(tiny_model: str, tmp_path: Path) -> Callable[..., dict[str, Examples]]:
    """Load a data set as training does, from files that are written first."""

    def load(name: str, files: dict[str, str], *settings: str) -> dict[str, Examples]:
        folder = tmp_path / name
        folder.mkdir()
        for file_name, text in files.items():
            (folder / file_name).write_text(text, encoding="utf-8")
        typed = [setting.replace("{folder}", str(folder)) for setting in settings]
        cfg = compose("train", [f"data={name}", f"paths.cache_dir={tmp_path / 'cache'}", *typed])
        if cfg.data._target_.endswith("HubDataset"):
            pytest.importorskip("datasets", reason="the hub extra is not installed")
        return build_datamodule(cfg, Pretrained(tiny_model), None).load()

    return load


def test_every_ready_set_has_a_case() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", CASES)
def test_files_as_their_owners_give_them_out_are_read(name: str, load: Callable[..., dict[str, Examples]]) -> None:
    case = CASES[name]
    splits = load(name, case.files, *case.settings, *WHOLE)
    assert {split: examples.texts for split, examples in splits.items()} == case.texts
    for examples in splits.values():
        assert examples.groups == case.groups
        assert examples.text_pairs == case.pairs
        if case.targets is not None:
            assert examples.targets is not None
            assert examples.targets.tolist() == case.targets
        else:
            assert examples.labels.tolist() == case.labels
            assert examples.class_names == case.classes


def _csv(header: list[str], rows: list[list[Any]], path: Path) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "file_name", "header"),
    [
        ("puntuguese", "train.csv", ["id", "text", "is_humor", "pair"]),
        ("ccl_chinese", "zh_data_with_label.csv", ["ID", "Utterance", "Label", "D_ID"]),
    ],
)
def test_twins_and_dialogues_stay_in_one_drawn_split(
    name: str, file_name: str, header: list[str], load: Callable[..., dict[str, Examples]], tmp_path: Path
) -> None:
    rows = [[f"{row}", f"texto {row:04d} de número {row * 7919}", row % 2, f"g{row // 2}"] for row in range(120)]
    splits = load(name, {file_name: _csv(header, rows, tmp_path / "rows.csv")}, CASES[name].settings[0])
    groups = [set(examples.groups or ()) for examples in splits.values()]
    assert len(groups) == 3
    assert sum(map(len, groups)) == 60, "no group in two splits"


def test_puntuguese_of_its_authors_is_read_without_pairs(load: Callable[..., dict[str, Examples]]) -> None:
    rows = [
        {"id": f"5.{i}.{'HN'[i % 2]}", "text": f"Texto {i}.", "label": 1 - i % 2, "tokens": ["Texto"], "labels": [0]}
        for i in range(4)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    files = {f"{split}.jsonl": lines for split in ("train", "validation", "test")}
    splits = load("puntuguese", files, *HUB, "data.group_column=null")
    assert splits.keys() == {"train", "val", "test"}
    assert all(examples.labels.tolist() == [1, 0, 1, 0] for examples in splits.values())


def test_puntuguese_without_pairs_says_so(load: Callable[..., dict[str, Examples]]) -> None:
    files = {"train.csv": "id,text,is_humor\n5.1.H,Um peixe nada.,1\n5.1.N,Um peixe come.,0\n"}
    with pytest.raises(UserError, match=r"a column 'pair' \(data.group_column\)"):
        load("puntuguese", files, *HUB)


def test_fun_as_its_authors_write_it_is_answered_with_the_line_that_makes_rows(
    load: Callable[..., dict[str, Examples]],
) -> None:
    whole = {f"Довольно длинная строка номер {i}, в которой ничего смешного нет.": i % 2 for i in range(60)}
    with pytest.raises(UserError, match=r"dict of 60 texts to labels.*rows\.json"):
        load("fun_russian", {"train.json": json.dumps(whole)}, "data.train_path={folder}/train.json")


def test_every_ready_set_stands_in_the_page_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == NAMES
    assert sorted(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_set_says_how_to_get_it(name: str) -> None:
    lines = (Path(CONFIG_DIR) / "data" / f"{name}.yaml").read_text().splitlines()
    about = [line for line in lines if line.startswith("# ")]
    assert len(about) >= 2
    assert lines[: len(about)] == about, "the comment stands first"
