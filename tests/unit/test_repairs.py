"""Damage is undone where that is sure, told where it is not, and duplicates are looked for after it."""

import csv
from pathlib import Path

import pytest

from lit_humor.auditing import form, texts
from lit_humor.auditing.audit import related_rows
from lit_humor.auditing.cleaning import decide, write_clean_copy
from lit_humor.auditing.repairs import repair, repair_splits
from lit_humor.auditing.rows import Finding, join_splits
from lit_humor.data.dividing.similarity import exact_groups
from lit_humor.data.examples import tolerant_reading
from lit_humor.data.sources.files import TextFiles
from tests.unit.test_splits import distinct_texts, labelled

DAMAGED = {
    "html_entities": {
        "Tom &amp; Jerry": "Tom & Jerry",
        "&amp;amp;amp; so": "& so",
        "it&#39;s I &lt;3 you": "it's I <3 you",
        "&#x1F602; &quot;ha&quot;": '😂 "ha"',
        "&#55357;&#56834; ha": "😂 ha",
        "&nbsp;&hellip; caf&eacute;": "… café",
    },
    "html_tags": {
        "one<br>two<br/>three": "one\ntwo\nthree",
        "I <b>love</b> it": "I love it",
        '<a href="http://x.y" rel=nofollow>click</a> here': "click here",
        "<p>One</p><P>Two</P>": "One\nTwo",
        '<IMG src="a.png"> look': "look",
    },
    "invisible_characters": {
        "he\u200bllo": "hello",
        "\ufeffhi": "hi",
        "so\u00adft": "soft",
        "\u202eevil\u202c": "evil",
        "a\u200d b\u2060": "a b",
        "l\u200cove": "love",
    },
    "escapes": {
        r"one\ntwo\n\nthree": "one\ntwo\n\nthree",
        r"He said \"no\"": 'He said "no"',
        r"caf\u00e9 \ud83d\ude02": "café 😂",
        r"it\'s": "it's",
        r"http:\/\/x.com": "http://x.com",
        r"\xc3\xa9t\xc3\xa9": "été",
        "one_x000D_two": "one\ntwo",
        "one _x00E9_ two": "one é two",
    },
    "mojibake": {
        "itâ€™s": "it’s",
        "itÃ¢â‚¬â„¢s": "it’s",
        "cafÃƒÂ©": "café",
        "ÐŸÑ€Ð¸Ð²ÐµÑ‚": "Привет",
        "ðŸ˜‚ lol": "😂 lol",
        "donâ€™t": "don’t",
        "cafÃ©": "café",
        "â€œquoteâ€\x9d": "“quote”",
        "â€œok” café": "“ok” café",
        "It\x92s fine": "It’s fine",
    },
    "control_characters": {"a\x00b": "ab", "bell\x07": "bell", "x\x1b[0m": "x[0m", "\x7fy": "y", "tab\x0bs": "tabs"},
    "doubled_quotes": {
        'He said ""hi"" to me': 'He said "hi" to me',
        '"He said ""hi"" to me"': 'He said "hi" to me',
        '""Well"", he said': '"Well", he said',
        '"Because ""quer free""."': 'Because "quer free".',
        'the ""so-called"" ""best""!': 'the "so-called" "best"!',
    },
    "blanks": {"a\tb": "a b", "a   b": "a b", " a ": "a", "a \u00a0b": "a b", "a\n\nb  ": "a\n\nb"},
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, of in DAMAGED.items() for text in of])
def test_damage_is_undone_and_named(kind: str, text: str) -> None:
    repaired, kinds = repair(text)
    assert repaired == DAMAGED[kind][text]
    assert kind in kinds
    assert repair(repaired) == (repaired, ()), "a second repair changes nothing"


@pytest.mark.parametrize(
    "text",
    [
        "I <3 you, a < b > c, <laughs>, </sarcasm>, <b> alone",
        "AT&T; R&D & more &nosuch; &copy2020 &#0;",
        "👨\u200d👩\u200d👧 🤷🏽\u200d♀️ ❤️\u200d🔥 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "क्\u200dष क्\u200cष",
        "ខ្ញុំ\u200bស្រលាញ់",
        "שלום \u200f!",
        r"C:\new\table and \\server\new",
        r"¯\_(ツ)_/¯ \o/",
        r"the field \nabla f, \theta",
        r"either\or and\nor",
        'an empty string: "" or x = "" and y = "", a 5"" screen',
        '"A quotation"',
        "Quoi\u00a0! São Paulo, naïve, Ærø",
        "two\n\nlines",
        "RT @someone: what…",
        "to be continued... https://t.co/abc",
        "&notit; &ampersand; &copycat; &para1;",
        "my_x0041_var",
        "call get_x00E9_",
        "_x0062_name",
        "f(1_x0031_)",
        "a _xZZZZ_ b",
    ],
)
def test_what_may_be_meant_stays(text: str) -> None:
    assert repair(text) == (text, ())


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("he\u200bllo", "U+200B"),
        ("\ufeffhi", "U+FEFF"),
        ("so\u00adft\u00ad", "U+00AD"),
        ("\u202ea\u202c", "U+202C U+202E"),
        ("a\U000e0041b", "U+E0041"),
    ],
)
def test_what_nobody_sees_is_named(text: str, points: str) -> None:
    examples = {"train": labelled(["plain words", text], [0, 1])}
    found = texts.text_findings(join_splits(examples), repair_splits(examples))
    (finding,) = [one for one in found if one.kind == "invisible_characters"]
    assert finding.cases[0][0]["gone"] == points
    assert finding.cases[0][0]["line"] == 3


def _texts_of(findings: list[Finding]) -> dict[str, list[str]]:
    return {finding.kind: [case[0]["text"] for case in finding.cases] for finding in findings}


UNSURE = [  # a byte is lost or has become a blank: what stood there is a guess
    "â€œquoteâ€… &quot;x",
    "â€œquoteâ€",
    "â€œHi,â€ he said.",
    "itâ€™s  â€œfunâ€",
    "Ã  la carte",
    "â€? what",
]


@pytest.mark.parametrize("text", UNSURE)
def test_a_wrong_encoding_is_undone_only_where_no_character_is_lost(text: str) -> None:
    assert repair(text) == (text, ())


def test_damage_that_nobody_is_sure_of_is_told() -> None:
    plain = distinct_texts(20)
    damaged = {
        "html_tags": ["<b> alone"],
        "escapes": [r"either\or and\nor"],
        "control_characters": ["lost \ufffd one"],
        "mojibake": UNSURE,
        "retweets": ["RT @somebody: hello you", "rt @x hello", "RT: hello you", 'MT @a_b "hello"', '"RT @q: so"'],
        "quoted": ['"A quotation"', "“Another one”", "«Et une»", "„Noch eins“", "「そうです」"],
    }
    examples = {"train": labelled([*plain, *(t for of in damaged.values() for t in of)], [0] * (20 + 13 + len(UNSURE)))}
    found = texts.text_findings(join_splits(examples), repair_splits(examples))
    damaged["quoted"].insert(0, '"RT @q: so"')
    assert {kind: of for kind, of in _texts_of(found).items() if kind in damaged} == damaged
    assert not any("mended" in case[0] for finding in found for case in finding.cases)


CUT = [
    "a long story that begins and then … https://t.co/aBc",
    "a long story https://t.co/aB…",
    "a long story http:/",
    "a long story http://",
    "a long story https://t",
    "a long story [...]",
    "a long story... read more",
    "a long story\nRead more",
    "a long story [see more]",
    "a long story (cont.)",
    f"{'x' * 133} cuto…",
]


WHOLE = [
    "I love to read more",
    "You should see more",
    "In winter, bears show more",
    "I don't like htt",
    "pages that are not http",
    "we use https",
]


def test_texts_that_were_cut_off() -> None:
    whole = [*distinct_texts(50), "wait for it...", "so…", "see http://x.org", "the http protocol", *WHOLE]
    count = len(whole) + len(CUT)
    rows = join_splits({"train": labelled([*whole, *CUT], [0] * count, text_pairs=["a context"] * count)})
    assert form.truncation_findings(rows, rows.texts) == []
    found = _texts_of(form.truncation_findings(rows, [*whole, *CUT]))
    found = {kind: [text.removesuffix(" a context") for text in of] for kind, of in found.items()}
    assert found == {"truncated": CUT, "open_ended": ["wait for it...", "so…"]}


@pytest.mark.parametrize("limit", [60, 128, 140, 255, 280])
def test_a_heap_of_texts_of_one_length_is_told(limit: int) -> None:
    whole = [f"{' '.join(distinct_texts(8, seed=row))[: 20 + 2 * row]}" for row in range(100)]
    cut = [" ".join(distinct_texts(8, seed=row))[:limit] for row in range(1000, 1040)]
    (found,) = form.truncation_findings(join_splits({"train": labelled([*whole, *cut], [0] * 140)}), [*whole, *cut])
    assert set(cut) <= set(_texts_of([found])["truncated"])
    assert len(found.cases) <= 41
    assert f"many have exactly {limit} characters" in found.title
    assert form.truncation_findings(join_splits({"train": labelled(whole, [0] * 100)}), whole) == []


TEMPLATES = {
    "why did the _ cross the _ because _": "Why did the {} cross the {}? Because {}!",
    "_ walks into a bar and asks for _": "{} walks into a bar and asks for {} {}",
    "breaking _ says that _ is the new _": "Breaking: {} says that {} is the new {}",
    "i am not a _ i am a _ said _": "I am not a {}, I am a {}, said {}",
    "roses are red violets are _": "Roses are red, violets are {} {} {}",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(template: str) -> None:
    made = [TEMPLATES[template].format(*text.split()[:3]) for text in distinct_texts(30)]
    rows = join_splits({"train": labelled([*distinct_texts(270, seed=1), *made], [0] * 300)})
    (finding,) = form.template_findings(rows)
    assert (finding.cases[0][0]["template"], finding.cases[0][0]["rows"]) == (template, 30)
    assert len(finding.cases) == 1
    few = join_splits({"train": labelled([*distinct_texts(270, seed=1), *made[:15]], [0] * 285)})
    assert form.template_findings(few) == []


def test_rows_that_damage_alone_tells_apart_are_duplicates_and_all_columns_stay(tmp_path: Path) -> None:
    rows = [
        ("1", "Tom &amp; Jerry went out", "Who?", "0", "a"),
        ("2", "Tom & Jerry went out", "Who?", "0", "b"),
        ("3", "quite   another thing", "he\u200bllo", "1", "=c"),
        ("4", "\u200b\u200b\u200b", "", "1", "d"),
        ("5", "plain words", "", "1", "e"),
    ]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "context", "label", "source"), *rows])
    with tolerant_reading() as readings:
        splits = TextFiles(train_path=str(path), text_pair_column="context").load()
    joined, repaired = join_splits(splits), repair_splits(splits)
    equal = exact_groups(repaired.rows.texts)
    decisions = decide(joined, equal, related_rows(joined, equal, []), repaired.empty)
    done = write_clean_copy(tmp_path / "clean", joined, decisions, splits, readings, repaired)
    assert done == {"dropped": 2, "moved": 0, "kept": 3, "repaired": 2}
    with (tmp_path / "clean" / "train.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["id", "text", "context", "label", "source"],
            ["1", "Tom & Jerry went out", "Who?", "0", "a"],
            ["3", "quite another thing", "hello", "1", "=c"],
            ["5", "plain words", "", "1", "e"],
        ]
    with (tmp_path / "clean" / "changes.csv").open(newline="", encoding="utf-8") as file:
        changes = [(row["action"], row["reason"], row["text"], row["mended_text"]) for row in csv.DictReader(file)]
    assert changes == [
        ("mended", "html_entities", "Tom &amp; Jerry went out Who?", "Tom & Jerry went out Who?"),
        ("dropped", f"equal to {path}, line 2", "Tom & Jerry went out Who?", ""),
        ("mended", "invisible_characters, blanks", "quite   another thing he\u200bllo", "quite another thing hello"),
        ("dropped", "no text is left after the repair", "\u200b\u200b\u200b", ""),
    ]
