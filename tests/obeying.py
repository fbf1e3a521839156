"""Does what the remedy of an error says, word for word, as somebody would who knows nothing but that sentence."""

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from lit_humor.config.overrides import for_hydra
from lit_humor.core.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
_WORDS = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")
_SETTING = re.compile(r"'?[~+]*[\w.]+(\.\w+)*=")
_SHELL = r"iconv|sed|mv|cp|rm|mkdir|cat|ls|df|tail|tr|gunzip|bunzip2|\(printf|python -c"
_VERBS = rf"(?:set|add|leave|did you mean|export|unset|python|pip|torchrun|{_SHELL}) |'?[\w.]+=\S"
_ALTERNATIVES = re.compile(rf"[,;] or,? |; (?=if )| or (?={_VERBS})")
# What a shell takes as one: text in quotes, and commands in brackets.
_WHOLE = re.compile(r"""(?<=[\s=(])'[^']*'(?:"'"'[^']*')*(?=[\s,.;)]|$)|\(printf (?:'[^']*'|"[^"]*"|[^'")])*\)""")
_HIDDEN = str.maketrans(" ,;", "\1\2\3")
_SHOWN = str.maketrans("\1\2\3", " ,;")
_STEPS = re.compile(rf"(?:[,;]? (?:and|then)|[,;]) (?:then )?(?={_VERBS})")


class CannotObey(Exception):
    """No machine can do what the sentence says."""


@dataclass(frozen=True)
class Line:
    """A command as it is typed.

    Attributes:
        command: Its name.
        arguments: What stands behind it.
        environment: Variables set before it; None takes one away.
        missing: Packages that are not installed.
        before: Commands to be typed first.
        after: Commands of the system to be typed behind it.
    """

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    before: tuple["Line", ...] = ()
    after: tuple[str, ...] = ()

    def having(self, setting: str) -> "Line":
        """With a setting in the place of what was typed for that key."""
        key = _key(setting)
        rest = tuple(one for one in self.arguments if _key(one) != key)
        return replace(self, arguments=(*rest, setting))

    def has(self, key: str) -> bool:
        """Whether something was typed for a key."""
        return any(_key(one) == key for one in self.arguments)

    def without(self, key: str) -> "Line":
        left = tuple(one for one in self.arguments if _key(one) != key and not _key(one).startswith(f"{key}."))
        return replace(self, arguments=left)


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip("+~- ")


@dataclass(frozen=True)
class Remedy:
    """What an error says.

    Attributes:
        where: In front of the first colon.
        found: What was found.
        ways: What can be done, one of them; each a list of steps.
    """

    where: str
    found: str
    ways: tuple[tuple[str, ...], ...]


def read(error: str | UserError, fill: Mapping[str, str]) -> Remedy:
    """Read an error as it is printed.

    Args:
        error: One error.
        fill: What a user puts in the place of ``<...>``.
    """
    text = str(error).strip()
    where, _, rest = text.partition(": found ")
    fix = text.rpartition("Fix: ")[2].removesuffix(".")
    for place, value in fill.items():
        fix = fix.replace(place, value)
    fix = _WHOLE.sub(lambda match: match[0].translate(_HIDDEN), fix)
    fix = re.sub(r", and name that file\b(?:(?!; if ).)*", "", fix)  # as is done with every file that a command makes
    ways = [[step.translate(_SHOWN) for step in _STEPS.split(way)] for way in _ALTERNATIVES.split(fix)]
    return Remedy(where, rest.rpartition(", expected ")[0], tuple(map(tuple, ways)))


def settings_in(message: str | UserError) -> dict[str, Any]:
    """The settings that a remedy tells to type, as train.py reads them; of several for one key the first."""
    found: dict[str, Any] = {}
    for word in typed_in(message):
        override = OverridesParser.create().parse_override(*for_hydra("train", [word]))
        found.setdefault(str(override.key_or_group).removeprefix("data."), override.value())
    return found


def typed_in(message: str | UserError) -> list[str]:
    """The same, of the first way that is told, as a shell hands them to the command: without the quotes round them."""
    for way in read(message, {}).ways:
        words = [word for step in way for word in _WORDS.findall(_without_words(step)) if _SETTING.match(word)]
        if words:
            return [_unquoted(word) for word in words]
    return []


def run_command_in(message: str | UserError) -> Path:
    """Type the first command of the system in a remedy into a shell; returns the file it made, the one to name then."""
    steps = (_without_words(step) for way in read(message, {}).ways for step in way)
    command = next(step for step in steps if re.match(rf"(?:{_SHELL}) ", step))
    subprocess.run(["bash", "-c", command], check=True)
    return Path(shlex.split(command)[-1])


def _without_words(step: str) -> str:
    """A step without the words before it, which only explain."""
    return step if re.match(_VERBS, step) else re.sub(rf"^.*?: (?={_VERBS})", "", step, count=1)


def _unquoted(word: str) -> str:
    """A word as a shell hands it on."""
    return shlex.split(re.sub(r"[,;:]$", "", word))[0]


def obey(line: Line, remedy: Remedy, way: tuple[str, ...]) -> Line:
    """The command to type after the steps of one way.

    Raises:
        CannotObey: A step is for people.
    """
    for index, step in enumerate(way):
        done = line
        step = _without_words(step)
        if index and re.match(rf"(?:{_SHELL}) ", step):
            line = replace(line, after=(*line.after, step))
            continue
        line = _take_step(line, remedy, step)
        if step.startswith("python ") and index + 1 < len(way):
            line = replace(done, before=(*done.before, line))
    return line


def _take_step(line: Line, remedy: Remedy, step: str) -> Line:
    verb, _, rest = step.partition(" ")
    if verb in ("set", "add") or _SETTING.match(step):
        return _set(line, rest if verb in ("set", "add") else step)
    if match := re.match(r"leave (\S+) (away|out)", step):
        if match[1] == "one":
            raise CannotObey(step)
        return line.without(_key(remedy.where if match[1] in ("it", "that") else match[1]))
    if match := re.match(r"did you mean '(.*)'\?", step):
        return _mean(line, remedy, match[1])
    if verb in ("export", "unset"):
        if "<" in rest:
            raise CannotObey(step)
        words = [word.rstrip(",;").partition("=") for word in _WORDS.findall(rest)]
        named = {name: value if sign else None for name, sign, value in words if re.fullmatch(r"[A-Z_]+", name)}
        return replace(line, environment={**line.environment, **named})
    if verb == "pip":
        return _install(line, rest)
    if match := re.match(r"python src/lit_humor/(\w+)\.py ?(.*)", step):
        return Line(match[1], tuple(_settings(match[2])), line.environment, line.missing, line.before)
    if re.match(rf"(?:{_SHELL}) ", step) and verb not in ("ls", "df", "cat"):
        return _run_in_shell(line, remedy, step)
    raise CannotObey(step)


def _set(line: Line, text: str) -> Line:
    for setting in _settings(text):
        line = line.having(setting)
    return line


def _settings(text: str) -> list[str]:
    """Up to the first word that is no setting: what follows only explains."""
    found = []
    for word in _WORDS.findall(text):
        if not _SETTING.match(word):
            break
        found.append(_unquoted(word))
    if not found or any("<" in one or "..." in one or one.endswith("=") for one in found):
        raise CannotObey(text)
    return found


def _mean(line: Line, remedy: Remedy, word: str) -> Line:
    """The word that was meant: in the place of a value, or of the last part of a key, or of its first."""
    typed = next((one for one in line.arguments if _key(one) == remedy.where.lstrip("+~").partition("=")[0]), None)
    if typed is None:
        typed = next((one for one in line.arguments if "=" in one and remedy.where in one.partition("=")[2]), None)
    if typed is None:
        raise CannotObey(f"{word} for {remedy.where}")
    key, _, value = typed.partition("=")
    if not remedy.found.startswith("an unknown key"):
        meant = f"{key}={word}"
    elif "." not in key or _exists(f"{key.rpartition('.')[0]}.{word}"):
        meant = f"{key.rpartition('.')[0]}.{word}".strip(".") + f"={value}"
    else:
        meant = f"{word}.{key.partition('.')[2]}={value}"
    rest = tuple(one for one in line.arguments if one != typed)
    return replace(line, arguments=(*rest, meant.lstrip("+~")))


def _exists(key: str) -> bool:
    """Whether train.py has a group of that name; ``optm.learning_rate`` means another group."""
    return (ROOT / "configs" / key.lstrip("+~").partition(".")[0]).is_dir()


def _install(line: Line, rest: str) -> Line:
    """Nothing is fetched: the extra has to bring the package that is missing, and the files have to be there."""
    import tomllib

    if match := re.fullmatch(r"install -c (\S+) -e '\.\[(\w+)\]'", rest):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        brought = " ".join(_all_of(project["optional-dependencies"], match[2])).replace("-", "_").lower()
        assert (ROOT / match[1]).is_file()
        return replace(line, missing=tuple(one for one in line.missing if one.lower() not in brought))
    raise CannotObey(f"pip {rest}")


def _all_of(extras: Mapping[str, list[str]], name: str) -> list[str]:
    """Packages of an extra, and of the extras that it names."""
    inner = [one for text in extras[name] for one in re.findall(r"lit-humor\[(.*)\]", text)]
    return [*extras[name], *(text for names in inner for one in names.split(",") for text in _all_of(extras, one))]


def _run_in_shell(line: Line, remedy: Remedy, step: str) -> Line:
    """A command of the system, typed beside the file that the error names; what it writes anew is named from now on."""
    where = re.sub(r", (line|row) .*", "", remedy.where)
    path = Path(where.partition("=")[2] or where)
    folder = path.parent if path.is_absolute() else ROOT
    step = re.sub(r" \(.*?\)$", "", step)
    done = subprocess.run(["bash", "-ec", step], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise CannotObey(f"{step}: {done.stderr}")
    if re.match("cp |.* > ", step):
        made = str(folder / shlex.split(step)[-1])
        changed = tuple(one.replace(str(path), made) for one in line.arguments)
        return replace(line, arguments=changed)
    return line


Hand = Callable[[Path, Line], Line]
