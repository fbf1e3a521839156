"""Checks the type of a file by its ending and first bytes, and says how to convert it to a type that is read."""

from __future__ import annotations

import codecs
import shlex
import unicodedata
import zipfile
from collections.abc import Collection
from pathlib import Path

from lit_humor.core.errors import UserError
from lit_humor.core.remedies import nearest_file, new_path

ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")  # of tables that are read here
_FIRST_BYTES = 4096
_MIN_TEXT_SHARE = 0.8  # of the first bytes of a text in any encoding must be UTF-8
_ALLOWED_CONTROLS = "\t\r\n\u200c\u200d\u200e\u200f"  # control characters that occur in texts
_MAX_ODD_SHARE = 0.01  # of the characters of a text: e.g. emojis newer than Python's tables
_BY_SPREADSHEET = "save it as CSV (UTF-8) in a spreadsheet program, or: libreoffice --headless --convert-to csv {path}"
_UNPACK = {
    ".gz": "gunzip -k {path}",
    ".bz2": "bunzip2 -k {path}",
    ".xz": "unxz -k {path}",
    ".zip": "unzip {path}",
    ".xlsx": _BY_SPREADSHEET,
    ".xls": _BY_SPREADSHEET,
    ".ods": _BY_SPREADSHEET,
}


def check_kind(path: Path, endings: Collection[str], key: str = "") -> None:
    """Check that a path is a data file, before it is read.

    Args:
        path: The file.
        endings: The endings that can be read.
        key: The setting that named the file, for messages.

    Raises:
        UserError: The file is missing, its ending is unknown, or its first bytes belong to another file type.
    """
    subject = f"{key}={path}" if key else str(path)
    if path.is_dir():
        names = sorted(child.name for child in path.iterdir() if child.suffix.lower() in endings)[:5]
        fix = f"name one of its files: {', '.join(names)}" if names else "name a data file"
        raise UserError(subject, found="a folder", expected="a data file", fix=fix)
    if not path.is_file():
        nearest = nearest_file(path)
        fix = f"did you mean '{nearest}'?" if nearest else f"ls {shlex.quote(str(path.parent))}"
        raise UserError(subject, found="no such file", expected="a data file", fix=fix)
    ending = path.suffix.lower()
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
    if ending not in endings:
        raise UserError(
            subject,
            found=f"a file ending in '{path.suffix}'",
            expected=f"one of {', '.join(endings)}",
            fix=_UNPACK[ending].format(path=shlex.quote(str(path)))
            if ending in _UNPACK
            else _copy_command(path, first),
        )
    kind, fix = _contradicting_kind(path, first)
    if kind and not (ending == ".parquet" and first.startswith(b"PAR1")):
        raise UserError(f"{subject}, line 1", found=kind, expected=f"what the ending '{ending}' says", fix=fix)


def _contradicting_kind(path: Path, first: bytes) -> tuple[str, str]:
    """Return the file type that contradicts the ending, and the remedy; two empty texts if there is none."""
    source, ending = shlex.quote(str(path)), path.suffix.lower()
    if first[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):  # first, as it starts with the mark of UTF-16
        return "a file in UTF-32", _recode_command(path, "utf-32")
    if first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "a file in UTF-16", _recode_command(path, "utf-16")
    if first.startswith(b"PAR1"):
        return "a Parquet file", f"cp {source} {_target(path, '.parquet')}, and name that file"
    if first.startswith((b"\x1f\x8b", b"BZh")):
        tool = "gunzip" if first.startswith(b"\x1f") else "bunzip2"
        return "a compressed file", f"{tool} < {source} > {_target(path, f'.unpacked{ending}')}, and name that file"
    if first.startswith(b"PK\x03\x04"):
        is_sheet = zipfile.is_zipfile(path) and any("xl/" in name for name in zipfile.ZipFile(path).namelist())
        fix = _BY_SPREADSHEET.format(path=source) if is_sheet else f"unzip {source}"
        return "an Excel file" if is_sheet else "a ZIP file", fix
    if first.startswith(b"\xd0\xcf\x11\xe0"):
        return "an old Excel file", _BY_SPREADSHEET.format(path=source)
    if first.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS in place of the file", "git lfs pull"
    text = first.removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:9].lower() == b"<!doctype" or text[:5].lower() == b"<html":
        return "a web page", "download the file again: the site sent a page in its place"
    if ending != ".parquet" and (encoding := _utf16_or_utf32(first)):
        return f"NUL bytes, as in a file in {encoding[:6].upper()}", _recode_command(path, encoding)
    is_json = text.startswith((b'{"', b'[{"', b"[\n", b"[\r\n", b"{\n", b"{\r\n"))
    if is_json and ending in (".csv", ".tsv", ".parquet"):
        return "JSON", f"cp {source} {_target(path, '.json')}, and name that file"
    if ending == ".parquet" and first and not first.startswith(b"PAR1"):
        return "no Parquet file", _copy_command(path, first)
    return "", ""


def _utf16_or_utf32(first: bytes) -> str:
    """Return the encoding of a UTF-16 or UTF-32 text without byte order mark; empty for other texts."""
    if b"\0" not in first:
        return ""
    encodings = [name for name in ("utf-32le", "utf-32be", "utf-16le", "utf-16be") if _is_text_in(name, first)]
    if encodings or first.count(b"\0") * 3 <= len(first):
        return encodings[0] if encodings else ""
    return "utf-16le" if first[1::2].count(0) >= first[::2].count(0) else "utf-16be"


def _is_text_in(encoding: str, first: bytes) -> bool:
    """Whether bytes are a text in an encoding: printable characters, and line breaks where the bytes have them.

    In UTF-16, nearly any bytes are letters of some script, but a line break of one byte is not a line break.
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(first)
    except UnicodeDecodeError:
        return False
    num_breaks = first.count(b"\n")
    has_breaks = text.count("\n") * 2 > num_breaks if num_breaks else sum(map(str.isascii, text)) * 5 >= len(text)
    num_odd = sum(
        unicodedata.category(character)[0] == "C" and character not in _ALLOWED_CONTROLS for character in text
    )
    return has_breaks and num_odd <= _MAX_ODD_SHARE * len(text)


def _copy_command(path: Path, first: bytes) -> str:
    """Return the command that copies a text file to a name with the ending that fits its first line."""
    line = first.split(b"\n")[0]
    if b"\0" in first or len(first.decode("utf-8", "ignore").encode()) < _MIN_TEXT_SHARE * len(first):
        return "write it again as CSV or Parquet"
    ending = ".json" if line[:1] in (b"{", b"[") else ".tsv" if b"\t" in line else ".csv"
    command = f"cp {shlex.quote(str(path))} {_target(path, ending)}"
    return f"if it is a text file with a row a line: {command}, and name that file"


def _recode_command(path: Path, encoding: str) -> str:
    target = _target(path, f".utf8{path.suffix}")
    return f"iconv -f {encoding} -t utf-8 {shlex.quote(str(path))} > {target}, and name that file"


def _target(path: Path, ending: str) -> str:
    return shlex.quote(str(new_path(path.with_suffix(ending))))


def decode(path: Path, raw: bytes) -> str:
    """Decode the bytes of a UTF-8 file, with or without byte order mark.

    Raises:
        UserError: The file has a NUL byte or is not UTF-8; names the line.
    """
    source = shlex.quote(str(path))
    if (place := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, place) + 1
        fix = f"tr -d '\\000' < {source} > {_target(path, f'.clean{path.suffix}')}, and name that file"
        raise UserError(f"{path}, line {line}", found="a NUL byte", expected="text", fix=fix)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}",
            found=f"byte 0x{raw[error.start]:02x}, which is not UTF-8",
            expected="a file encoded in UTF-8",
            fix=_recode_command(path, "latin1") + " (or your encoding in place of latin1)",
        ) from None
