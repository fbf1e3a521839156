"""Text settings are taken as typed, whatever Hydra's grammar or YAML would make of them."""

# ruff: noqa: E501
import dataclasses
import random
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lit_humor.config.command import compose
from lit_humor.config.declared import text_type_of
from lit_humor.config.overrides import for_hydra, separated, values_of
from lit_humor.config.schema import SCHEMAS
from lit_humor.core.errors import UserError
from lit_humor.core.settings import quoted, setting
from lit_humor.core.settings import typed as in_shell
from lit_humor.data.reading.columns import unless_null
from lit_humor.data.settings import DataSettings
from lit_humor.data.sources.demo import DemoCorpus
from lit_humor.data.sources.files import TextFiles
from lit_humor.data.sources.hub import HubDataset
from lit_humor.data.sources.joke_pairs import JokePairs

CSV = ("model=tiny", "data=csv")
TEXTS = [
    "in/данные.csv", "in/train (1).csv", "in/数据.csv", "in/a=b,c/x.csv", "{x}/y.csv", "[x]/y.csv", "a[1].csv", "(a", "a)", "{", "]",
    "epoch=1-val_f1=0.9.ckpt", "Größe.text", "a b", " a", "a ", "a\tb", "a\nb", "it's", 'say "no"', "'a", 'a"', "a'b'c", "\\", "a\\", "a\\\\",
    "a\\'b", "C:\\new\\table", "~", "~/x", "#a", "a #b", "a: b", "- a", "@x", "%", "*", "&a", "!x", "|", ">", "`x`", "?", "$HOME", "$x$", "a;b",
    "1", "-1", "007", "1e5", "0x1F", "1_000", "1.0", ".5", "+1", "inf", "nan", "-inf", "true", "True", "false", "yes", "no", "on", "off", "None",
    "none", "2024-01-01", "12:30", "１２", "٣", "=", "==", ",", ",,", "", "😂", "e\u0301", "\u202eabc", "choice(a,b)", "range(3)", "str(1)",
    "glob(*)", "a" * 3000,
]  # fmt: skip
PATHS = ("data.train_path", "run_id", "init_from", "data.group_column", "data.cache_dir", "paths.logs_dir", "logger.tensorboard.name",
         "model.pretrained")  # fmt: skip


def _value(key: str, *overrides: str) -> Any:
    return OmegaConf.select(compose("train", [*CSV, *overrides]), key)


def _parsed(override: str, command: str = "train") -> Any:
    """What Hydra makes of an override that was rewritten; a tenth of the time that composing takes."""
    return OverridesParser.create().parse_override(*for_hydra(command, [override])).value()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_taken_as_typed(text: str) -> None:
    for key in PATHS:
        if key != "model.pretrained" or text[:1] not in ("[", "{"):  # there it may be a node
            assert _parsed(f"{key}={text}") == text, key
    written = OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create({"text": text})))
    assert written.text == text, "config.yaml gives it back"


def test_texts_are_composed_as_typed() -> None:
    for start in range(0, len(TEXTS), len(PATHS) - 1):
        typed = dict(zip(PATHS[:-1], TEXTS[start:], strict=False))
        cfg = compose("train", [*CSV, *(f"{key}={text}" for key, text in typed.items())])
        assert {key: OmegaConf.select(cfg, key) for key in typed} == typed


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("[нет,да]", ["нет", "да"]), ("[-1,1]", ["-1", "1"]), ("[0,1]", ["0", "1"]), ("[no,yes]", ["no", "yes"]),
        ("[false,true]", ["false", "true"]), ("[null,None]", ["null", "None"]), ("[1e5,007]", ["1e5", "007"]), ("[ a , b c ]", ["a", "b c"]),
        ("['a,b',c]", ["a,b", "c"]), ('["a]",\'b\']', ["a]", "b"]), ("[don't,do]", ["don't", "do"]), ("[a,,b]", ["a", "", "b"]),
        ("[]", []), ("[ ]", []), ("['']", [""]), ("[a]", ["a"]), ("[a (1),b=2]", ["a (1)", "b=2"]), ("[{x},y:z]", ["{x}", "y:z"]),
        ("[a[1],b]", ["a[1]", "b"]), ("[\\,~]", ["\\", "~"]), ("[لا,نعم]", ["لا", "نعم"]), ("[1.0,2024-01-01]", ["1.0", "2024-01-01"]),
        ("['1','true']", ["1", "true"]),
    ],
)  # fmt: skip
def test_a_list_of_texts_is_taken_as_typed(typed: str, texts: list[str]) -> None:
    assert _parsed(f"data.label_names={typed}") == texts
    assert _parsed(f"runs={typed}", "report") == texts


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("run_id=null", None), ("run_id=NULL", None), ("run_id='null'", "null"), ('run_id="null"', "null"), ("data.train_path=null", None),
        ("data.train_path=./null", "./null"), ("data.label_names=null", None), ("data.text_column=null", "null"),
        ("data.label_column='null'", "null"), ("data.train_path='a b'", "a b"), ('data.train_path="a,b"', "a,b"), ("data.train_path='it\\'s'", "it's"),
        ("data.train_path='a\\\\'", "a\\"), ("+data.train_path=a (1)", "a (1)"), ("++data.train_path=a (1)", "a (1)"),
        ("model.pretrained={_target_: x}", {"_target_": "x"}), ("trainer.devices=auto", "auto"), ("trainer.devices=2", 2),
        ("trainer.precision=32", "32"), ("data.train_path={a:b}", "{a:b}"), ("seed=7", 7), ("optim.betas=[0.8,0.9]", [0.8, 0.9]), ("objective.class_weights=[1.0,2.0]", [1.0, 2.0]),
        ("objective.class_weights=none", "none"), ("data.order=easy_first", "easy_first"), ("logger.tensorboard=null", None),
        ("callbacks.early_stopping.monitor=null", None), ("data.max_length=64", 64),
    ],
)  # fmt: skip
def test_what_is_no_plain_text_keeps_its_meaning(override: str, value: Any) -> None:
    assert _parsed(override) == value


def test_interpolations_go_on_working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/in (1)/данные")
    assert _value("data.train_path", "data.train_path=${oc.env:PLACE}/x.csv") == "/in (1)/данные/x.csv"
    assert _value("data.train_path", "data.train_path='${oc.env:PLACE}/x.csv'") == "/in (1)/данные/x.csv"
    assert _value("run_id", "seed=3", "run_id=s${seed}") == "s3"
    assert _value("data.label_names", "data.label_names=[${oc.env:PLACE},${oc.env:NONE,b}]") == ["/in (1)/данные", "b"]
    with pytest.raises(UserError, match=r"an incomplete reference that starts with \$\{"):
        for_hydra("train", ["run_id=a${b"])


def test_whatever_is_typed_comes_back() -> None:
    """Random texts: by itself, in quotes, in a list, and when what was rewritten is rewritten again."""
    drawn = random.Random(0)
    alphabet = "ab01.-_/\\'\",;:=~^()[]{}<>|&*?!@#%+ \t\n" + "éßжд中文笑😂\u0301ا" + "ntfeNTFE"
    for _ in range(300):
        texts = ["".join(drawn.choices(alphabet, k=drawn.randrange(12))) for _ in range(3)]
        listed = f"[{','.join(quoted(text) for text in texts)}]"
        typed = [
            setting("data.train_path", texts[0]),
            setting("run_id", texts[1]),
            f"init_from={quoted(texts[2], chr(34))}",
        ]
        typed.append(f"data.label_names={listed}")
        once = for_hydra("train", typed)
        assert for_hydra("train", once) == once
        assert [_parsed(one) for one in typed] == [*texts, texts]
        (in_shell,) = shlex.split(shlex.join(typed[:1]))
        assert in_shell == typed[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.label_names", ["нет", "да нет"]), ("data.label_names", ["null", "a,b", "c\\", "it's"]), ("data.train_path", "in/train (1).csv"),
        ("data.train_path", "null"), ("data.train_path", None), ("optim.betas", [0.9, 0.999]), ("data.text_column", "a\\b"), ("run_id", "1e5"),
        ("baseline", False), ("seed", 7), ("model.pretrained", "my models/it's"), ("optim.learning_rate", 1e-05),
    ],
)  # fmt: skip
def test_what_is_printed_for_a_shell_comes_back(key: str, value: Any) -> None:
    (word,) = shlex.split(in_shell(key, value))
    assert _parsed(word) == value


def test_every_setting_that_is_declared_a_text_is_one() -> None:
    """Counted from the declarations themselves: a new field is covered without a list that somebody keeps."""
    checked = 0
    for command, schema in SCHEMAS.items():
        for prefix, node in [("", schema), *((f"{f.name}.", h) for f, h in _nodes(schema))]:
            for name, hint in get_type_hints(node).items():
                checked += _check(command, f"{prefix}{name}", hint)
    for source in (TextFiles, HubDataset, JokePairs, DataSettings, DemoCorpus):
        hints = get_type_hints(source if dataclasses.is_dataclass(source) else source.__init__)
        for command in ("train", "eval", "audit"):
            checked += sum(_check(command, f"data.{name}", hint) for name, hint in hints.items())
    assert checked >= 141


def _nodes(schema: type) -> list[tuple[Any, type]]:
    hints = get_type_hints(schema)
    return [(f, hints[f.name]) for f in dataclasses.fields(schema) if dataclasses.is_dataclass(hints[f.name])]


def _check(command: str, key: str, hint: Any) -> bool:
    spelled = str(hint).replace("typing.", "").removesuffix(" | None").removeprefix("Optional[").removesuffix("]")
    is_text = hint is str or spelled == "str" or "list[str" in spelled
    found = text_type_of(command, key)
    if key.rpartition(".")[2] != "pretrained":  # Any by its type, and marked
        assert (found is not None) == is_text, (command, key, hint)
    return is_text


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("data.train_path=a (1).csv,b=2.csv", ["a (1).csv", "b=2.csv"]), ("data.train_path=данные.csv, 数据.csv", ["данные.csv", "数据.csv"]),
        ('data.train_path="a,b.csv",c.csv', ['"a,b.csv"', "c.csv"]), ("data.train_path={x}/a.csv,[y]/b.csv", ["{x}/a.csv", "[y]/b.csv"]),
        ("data.label_names=[a,b],[в,г]", ["[a,b]", "[в,г]"]), ("data.text_column=true,1,null", ["true", "1", "null"]),
        ("data.label_names=[a,b]", ["[a,b]"]), ("data.train_path=a.csv", ["a.csv"]), ("seed=1,2", ["1", "2"]),
        ("optim.learning_rate=1e-5,3e-5", ["1e-05", "3e-05"]), ("init_from=${oc.env:A,b},c", ["${oc.env:A,b}", "c"]),
        ("optim.learning_rate=1e-5)", ["1e-5)"]),
    ],
)  # fmt: skip
def test_commas_separate_values_of_a_sweep(typed: str, values: list[str]) -> None:
    key = typed.partition("=")[0]
    assert values_of(typed) == [f"{key}={value}" for value in values]


@pytest.mark.parametrize("key", ["init_from", "data.train_path", "run_id"])
def test_lists_longer_than_a_name_of_a_file_are_values(key: str) -> None:
    values = [f"{'a' * 30}{number}" for number in range(40)]
    assert values_of(f"{key}={','.join(values)}") == [f"{key}={value}" for value in values]


def test_a_path_with_a_comma_needs_quotes_in_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "a,b (1).csv").touch()
    with pytest.raises(UserError) as caught:
        values_of(f"data.train_path={tmp_path}/a,b (1).csv")
    (shown,) = shlex.split(str(caught.value).partition("Fix: set ")[2].removesuffix("."))
    assert shown == f'data.train_path="{tmp_path}/a,b (1).csv"'
    assert values_of(shown) == [shown]
    assert _value("data.train_path", shown) == f"{tmp_path}/a,b (1).csv"


def test_a_mapping_with_keys_that_hydra_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    hints = {"label_aliases": dict[str, Any] | list[str] | None}
    monkeypatch.setattr("lit_humor.config.declared._hints_of_sources", lambda: hints)
    for typed, expected in (
        ("{a:b,c:d}", "{a:b,c:d}"),
        ("{не смешно: нет, x: 'a b'}", "['не смешно: нет','x: a b']"),
        ("[не смешно: нет,x: y]", "['не смешно: нет','x: y']"),
        ("null", "null"),
    ):
        assert for_hydra("train", [f"data.label_aliases={typed}"]) == [f"data.label_aliases={expected}"]


def test_separators() -> None:
    assert separated("") == []
    assert separated(" ") == []
    assert separated("a,") == ["a", ""]
    assert separated("'a'b,c") == ["'a'b", "c"]


def test_numbers_of_files_are_texts_where_texts_are_wanted() -> None:
    cfg = compose("train", [*CSV, "++data.label_names=[0,1]"])
    assert cfg.data.label_names == ["0", "1"]
    from lit_humor.config.declared import numbers_as_texts

    read = OmegaConf.create(
        {"data": {"label_names": [-1, 1], "text_column": 1, "max_length": 64, "label_column": True}}
    )
    assert numbers_as_texts("train", read).data == {
        "label_names": ["-1", "1"],
        "text_column": "1",
        "max_length": 64,
        "label_column": True,  # no or off, perhaps: refused, with the quotes to put
    }


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UserError, match="UTF-8"):
        for_hydra("train", ["data.train_path=caf\udce9.csv"])


def test_it_takes_neither_torch_nor_lightning() -> None:
    code = (
        "import sys; from lit_humor.config.overrides import for_hydra; for_hydra('train', ['data.train_path=a', 'run_id=1']);"
        "assert not {'torch', 'lightning', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("typed", "names", "column"),
    [
        ("null", ["null", "text"], "null"), ("null", ["text"], None), ("NULL", ["text"], None), ("NULL", ["NULL"], "NULL"),
        ("None", ["text"], "None"), ("true", ["text"], "true"), (None, ["null"], None), ("1", ["1"], "1"),
    ],
)  # fmt: skip
def test_a_column_called_null_is_one_where_the_file_has_it(
    typed: str | None, names: list[str], column: str | None
) -> None:
    assert unless_null(typed, names) == column
