"""Files of rows for tests of answers."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples


def write_rows(path: Path, rows: list[dict]) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0])] + [",".join(str(v or "") if v != 0 else "0" for v in row.values()) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def answers_of(examples: Examples) -> Answers:
    assert examples.answers is not None
    return examples.answers
