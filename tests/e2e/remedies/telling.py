"""Types a command that is wrong, obeys what it prints, and types it again until it goes on."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from lit_humor.core.errors import UserError, UserErrors
from tests.e2e.remedies.sites import Site, noting_errors
from tests.e2e.typed import typed_here
from tests.obeying import CannotObey, Line, Remedy, obey, read

_MOST_TRIES = 14
# Where a command has gone far enough: all that could be wrong with its input is behind it.
_FAR_ENOUGH = (
    *("lightning.pytorch.Trainer.fit", "uvicorn.Server.run", "lit_humor.launch.queue.LocalQueue.run"),
    *("lit_humor.benchmarking.commands.run_apart", "lit_humor.benchmarking.suites.peers.run_apart"),
)


class GoesOn(BaseException):
    """A command got to its real work."""


@dataclass(frozen=True)
class Case:
    """A command with mistakes in it.

    Attributes:
        command: Its name, or a function of folder and line that makes the mistakes from Python.
        arguments: What is typed behind it; FOLDER is that of the case, RUNS that of the runs.
        files: Files of the case by name.
        make: Makes more of what the case needs.
        environment: Variables that are set.
        missing: Packages that are not installed.
        fill: What stands for ``<...>`` in a remedy.
        hand: Does what no machine can do: given folder and command, returns the command to type then.
        way: Words of the way that is taken; by default the first that a machine can go.
        errors: So many are told before it goes on, at least.
        to_the_end: Whether the command is run to its end; otherwise to its real work.
        patched: What is put in the place of something else meanwhile.
    """

    command: str | Callable[[Path, Line], Any]
    arguments: tuple[str, ...] = ()
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    make: Callable[[Path, Path], None] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    hand: Callable[[Path, Line], Line] | None = None
    way: str = ""
    errors: int = 1
    to_the_end: bool = False
    patched: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        goes_on: Whether it ended well, or got to its real work.
        told: Its errors with their places.
        output: What it printed.
    """

    goes_on: bool
    told: list[tuple[Site, UserError]]
    output: str


@dataclass
class Obeyed:
    """What came of a case.

    Attributes:
        sites: Places of the errors that were told.
        count: Remedies that were obeyed, other ways included.
    """

    sites: set[Site] = field(default_factory=set)
    count: int = 0


def work_through(case: Case, folder: Path, runs: Path) -> Obeyed:
    """Obey every error of a case until the command goes on.

    Raises:
        AssertionError: An error came again although it was obeyed, or no remedy could be obeyed.
    """
    put = lambda text: text.replace("FOLDER", str(folder)).replace("RUNS", str(runs))  # noqa: E731
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if case.make:
        case.make(folder, runs)
    environment = {name: value and put(value) for name, value in case.environment.items()}
    line = Line(str(case.command), tuple(map(put, case.arguments)), environment, case.missing)
    fill = {key: put(value) for key, value in case.fill.items()}
    obeyed, seen, story = Obeyed(), set[str](), list[str]()
    for _ in range(_MOST_TRIES):
        ended = _type(case, line, folder)
        if ended.goes_on:
            break
        story += [str(error) for _, error in ended.told]
        assert ended.told, f"no error of ours:\n{ended.output}"
        typed = line
        for site, error in ended.told:
            obeyed.sites.add(site)
            if isinstance(error, UserErrors):
                continue  # its lines follow
            remedy = read(error, fill)
            assert str(error) not in seen, "obeyed, and told again:\n" + "\n".join(story)
            seen.add(str(error))
            if typed.has(remedy.where) and not line.has(remedy.where):
                continue  # the remedy of another error took it away
            obeyed.count += _other_ways_work(case, line, remedy, error, folder)
            line = _obey(case, line, remedy, folder)
            obeyed.count += 1
    else:
        raise AssertionError("it never goes on:\n" + "\n".join(story))
    assert obeyed.count >= case.errors, "fewer errors than there are mistakes:\n" + "\n".join(story)
    return obeyed


def _obey(case: Case, line: Line, remedy: Remedy, folder: Path) -> Line:
    ways = [way for way in remedy.ways if case.way in " ".join(way)] or list(remedy.ways)
    for way in ways:
        with contextlib.suppress(CannotObey):
            return obey(line, remedy, way)
    assert case.hand, f"no machine can do this, and the case has no hand: {remedy.ways}"
    return case.hand(folder, line)


def _other_ways_work(case: Case, line: Line, remedy: Remedy, error: UserError, folder: Path) -> int:
    """Try the ways that are not taken, where these are settings alone; how many there were."""
    count = 0
    for way in remedy.ways[1:] if not case.way else ():
        if all(step.startswith(("set ", "add ", "leave ")) or "=" in step.partition(" ")[0] for step in way):
            with contextlib.suppress(CannotObey):
                ended = _type(case, obey(line, remedy, way), folder)
                again = [one for _, one in ended.told if str(one) == str(error)]
                assert ended.goes_on or (ended.told and not again), f"{way} does not help: {ended.output}"
                count += 1
    return count


def _type(case: Case, line: Line, folder: Path) -> Ended:
    """Type a command, and what is to be typed before it."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(noting_errors())
        stack.enter_context(_surroundings(case, line, folder))
        goes_on, output = False, ""
        try:
            if callable(case.command):
                case.command(folder, line)
                goes_on = True
            else:
                for first in line.before:
                    done = typed_here(first.command, *first.arguments)
                    assert done.returncode == 0, done.stderr
                done = typed_here(line.command, *line.arguments)
                goes_on, output = done.returncode == 0, done.stdout + done.stderr
                for last in line.after if goes_on else ():
                    subprocess.run(["bash", "-ec", last], check=True, cwd=folder)
        except GoesOn:
            goes_on = True
        except UserError as error:
            output = str(error)
    told = [(site, error) for site, error in made if site and str(error) in output]
    unlike = {(str(error), type(error)): (site, error) for site, error in told}  # an error may be made twice
    return Ended(goes_on, [] if goes_on else list(unlike.values()), output)


@contextlib.contextmanager
def _without(package: str) -> Iterator[None]:
    """A package that cannot be imported; what others import meanwhile stays."""
    parts = [one for one in sys.modules if one == package or one.startswith(f"{package}.")]
    kept = {name: sys.modules.pop(name) for name in parts}
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        sys.modules.update(kept)


@contextlib.contextmanager
def _surroundings(case: Case, line: Line, folder: Path) -> Iterator[None]:
    """Environment, packages and stops of a command."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(mock.patch.dict(os.environ))
        for name, value in line.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for package in line.missing:
            stack.enter_context(_without(package))
        for target in () if case.to_the_end else _FAR_ENOUGH:
            stack.enter_context(mock.patch(target, side_effect=GoesOn))
        for target, value in case.patched.items():
            stack.enter_context(mock.patch(target, value))
        yield
