"""Loader processes: started from a process without threads, and protected from signals to the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any

from torch.utils.data import DataLoader

from lit_humor.core.errors import UserError
from lit_humor.data.batches.batching import Collator, GlobalBatchSampler, RowIndices

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


class WatchedLoader(DataLoader):
    """A loader that says so when one of its processes has ended.

    Torch alone shows one of several errors then, by what it did with the process at that moment: of a process that
    "exited unexpectedly", of a connection that was refused or reset, or of the end of a file.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Return the batches, in order.

        Raises:
            UserError: A loader process has ended, e.g. because the system killed it.
        """
        with self._watching():
            batches = super().__iter__()  # this starts the processes
        return self._watched(batches)

    def _watched(self, batches: Iterator[Any]) -> Iterator[Any]:
        with self._watching():
            yield from batches

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, OSError, EOFError) as error:
            processes = getattr(self._iterator, "_workers", [])  # none where this process makes the batches
            connection.wait([process.sentinel for process in processes], timeout=1)  # one may be ending just now
            if ended := next((process for process in processes if not process.is_alive()), None):
                raise UserError(
                    "trainer.num_workers",
                    found=f"loader process {ended.pid} gone (exit code {ended.exitcode}; -9: killed by the system)",
                    expected="processes that live as long as the loader, as they do where memory suffices",
                    fix="set trainer.num_workers=0 to make the batches in the training process",
                ) from error
            raise


def build_loader(
    collator: Collator, sampler: GlobalBatchSampler, num_rows: int, num_workers: int, *, pin_memory: bool
) -> WatchedLoader:
    """Return a loader of a sampler's batches, made by loader processes or by this process.

    Args:
        collator: Makes a batch from row indices.
        sampler: Gives the row indices of each batch.
        num_rows: Rows of the split.
        num_workers: Number of loader processes; 0 makes batches in this process.
        pin_memory: Whether batches go to a GPU.
    """
    if sampler.seed is not None and collator.prepared.changes is not None:  # of training rows, in each epoch anew
        collator, sampler.tells_epoch = replace(collator, seed=sampler.seed), True
    modules = (Collator.__module__, type(collator.prepared).__module__)
    return WatchedLoader(
        RowIndices(num_rows),  # the collator reads the rows itself, a batch at a time
        batch_sampler=sampler,
        collate_fn=collator,
        num_workers=num_workers,
        multiprocessing_context=loader_context(*modules) if num_workers else None,
        worker_init_fn=settle_in,
        persistent_workers=num_workers > 0,  # starting them takes longer than a short epoch
        pin_memory=pin_memory,
    )


def loader_context(*modules: str) -> BaseContext:
    """Return the context that starts loader processes: they are forked from a server process without threads.

    This process has threads of the training's backend. If one of them holds a lock of the interpreter during a fork,
    the new process waits for the lock for ever (CPython before 3.12).

    Args:
        modules: Names of modules that the server imports once, for all loader processes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the server and its processes inherit this mask
    try:
        resource_tracker.ensure_running()  # this unblocks two of the signals
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def settle_in(worker: int) -> None:
    """Block signals in a loader process, so that only the training process handles a signal to all processes.

    The process exits when the training process ends, however it ends. Torch's own check does not see that: it watches
    the server, which lives as long as one of its processes.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # if other code started the server; threads inherit it
    threading.Thread(target=_leave_with_owner, daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_leave_when_told, daemon=True).start()
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _leave_with_owner() -> None:
    """Exit when the training process has ended."""
    owner = multiprocessing.parent_process()
    if owner is not None:
        owner.join()
        os._exit(0)


def _leave_when_told() -> None:
    """Exit at a SIGTERM of the training process, but not at one that a scheduler sends to all processes."""
    owner = multiprocessing.parent_process()
    while owner is not None and signal.sigwaitinfo({signal.SIGTERM}).si_pid != owner.pid:
        pass
    os._exit(0)
