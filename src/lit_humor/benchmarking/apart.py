"""Computes something in a process of its own: for its memory, for counters and settings that last as long as one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from lit_humor.core.errors import UserError, one_line

Result = TypeVar("Result")

_ENDING = 10.0  # seconds that a process has to end once its result is here


class FailedApart(Exception):
    """What was to be computed in a process of its own was not: its error, or that it took too long."""


def apart(
    function: Callable[..., Result], *arguments: Any, seconds: float | None = None, copy_of: str | None = None
) -> Result:
    """Call a function in a new process, and return its result.

    Args:
        function: A function of a module.
        arguments: Its arguments; they and the result are pickled.
        seconds: Most seconds that it may take; None: any.
        copy_of: A module: copy a process that has imported it, which takes no time from the second call on; None: begin
            from nothing, which the memory of the process alone is measured with.

    Raises:
        UserError: The function raised it.
        FailedApart: The function raised another error, or its process ended or took too long.
    """
    context: Any = multiprocessing.get_context("forkserver" if copy_of else "spawn")
    if copy_of:
        context.set_forkserver_preload([copy_of])  # of no effect where loader processes came first
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise FailedApart(f"took longer than {seconds:g} s")
        error, result = receiver.recv()
        process.join(_ENDING)  # in its own way, which gives back what it shares with other processes
    except EOFError:
        process.join()
        raise FailedApart(f"its process ended (exit code {process.exitcode})") from None
    finally:
        receiver.close()
        process.kill()
        process.join()
    if isinstance(error, dict):
        raise UserError(**error)
    if error is not None:
        raise FailedApart(error)
    return result


def _work(sender: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """Send the error, None if there is none, and the result; a UserError as its parts, since it is not pickled."""
    told: tuple[Any, Any]
    try:
        told = None, function(*arguments)
    except UserError as error:
        if not hasattr(error, "where"):  # several at once
            told = one_line(error, 2000), None
        else:
            told = {name: getattr(error, name) for name in ("where", "found", "expected", "fix")}, None
    except Exception as error:  # whatever a lever does that this machine has not
        told = f"{type(error).__name__}: {one_line(error)}", None
    sender.send(told)
    sender.close()
