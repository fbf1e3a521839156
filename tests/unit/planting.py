"""A data set that is clean, and the same with known faults."""

from __future__ import annotations

import csv
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from lit_humor.data.sources.demo import CORPUS_DIR

COLUMNS = ["id", "text", "is_humor", "talk"]
HASHTAG = "#lol"
Row = dict[str, str]


def clean_rows(num_rows: int, seed: int = 0) -> list[Row]:
    """Random English words; a third of a row's words are more frequent in its class, so that TF-IDF can learn it."""
    generator = random.Random(seed)
    words = sorted(set(re.findall(r"[a-z]{3,}", (CORPUS_DIR / "en.csv").read_text(encoding="utf-8"))))
    generator.shuffle(words)
    of_class, others = (words[:300], words[300:600]), words[600:]
    rows = []
    for number in range(num_rows):
        label = int(generator.random() < 0.4)
        text = [
            generator.choice(others)
            if generator.random() > 0.4
            else generator.choice(of_class[label if generator.random() < 0.9 else 1 - label])
            for _ in range(generator.randint(10, 20))
        ]
        rows.append({"id": str(number), "text": " ".join(text), "is_humor": str(label), "talk": f"talk {number}"})
    return rows


@dataclass
class Planted:
    """Splits with faults, and which rows have them, by id."""

    train: list[Row]
    test: list[Row]
    near: dict[str, str] = field(default_factory=dict)  # id in test: id in train
    flipped: set[str] = field(default_factory=set)
    mojibake: set[str] = field(default_factory=set)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write train.csv and test.csv."""
        for name, rows in (("train", self.train), ("test", self.test)):
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        return folder / "train.csv", folder / "test.csv"


def clean(num_rows: int = 2500, seed: int = 0) -> Planted:
    """No faults."""
    rows = clean_rows(num_rows, seed)
    cut = num_rows * 4 // 5
    return Planted(rows[:cut], rows[cut:])


def planted(seed: int = 0) -> Planted:
    """200 near duplicates across, 60 flips, a telling hashtag, a torn group, mojibake, a conflict, two bad rows."""
    data = clean(seed=seed)
    generator = random.Random(seed + 1)
    for row in generator.sample(data.train, 60):
        row["is_humor"] = str(1 - int(row["is_humor"]))
        data.flipped.add(row["id"])
    untouched = [row for row in data.train if row["id"] not in data.flipped]
    chosen = generator.sample(untouched, 310)
    for number, row in enumerate(chosen[:200]):
        data.test.append(row | {"id": f"copy {number}", "text": edit(row["text"], generator), "talk": f"copy {number}"})
        data.near[f"copy {number}"] = row["id"]
    for row in [row for row in untouched if row["is_humor"] == "1"][:120]:
        row["text"] += f" {HASHTAG}"
    for row in chosen[200:210]:
        row["text"] += " cafÃ© dâ€™Ã©tÃ©"
        data.mojibake.add(row["id"])
    data.train[5]["talk"] = data.test[7]["talk"] = "torn talk"
    twice = chosen[220]
    data.train.append(twice | {"id": "conflict", "is_humor": str(1 - int(twice["is_humor"])), "talk": "conflict"})
    data.train.append({"id": "blank", "text": "  ", "is_humor": "1", "talk": "blank"})
    data.train.append({"id": "unlabelled", "text": "a text without a label", "is_humor": "", "talk": "unlabelled"})
    return data


def edit(text: str, generator: random.Random) -> str:
    """One of five small changes that people make to a text they copy."""
    words = text.split()
    place = generator.randrange(len(words))
    return (
        lambda: " ".join([*words[:place], "really", *words[place + 1 :]]),
        lambda: " ".join([*words[:place], *words[place + 1 :]]),
        lambda: f"RT {text.upper()}!!!",
        lambda: text.replace(words[place], words[place][:-1] + "z", 1),
        lambda: " ".join([*words[:place], "just", *words[place:]]),
    )[generator.randrange(5)]()
