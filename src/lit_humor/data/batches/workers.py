"""Loader processes: started without copying a lock that is held, and left alone by signals to the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext

from torch.utils.data import DataLoader

from lit_humor.data.batches.batching import Collator, GlobalBatchSampler, RowIndices

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


def build_loader(
    collator: Collator, sampler: GlobalBatchSampler, num_rows: int, num_workers: int, *, pin_memory: bool
) -> DataLoader:
    """Batches of a sampler, made by so many loader processes, or by this one.

    Args:
        collator: Makes a batch of row numbers.
        sampler: Gives the row numbers of each batch.
        num_rows: Rows of the split.
        num_workers: Loader processes; 0 for none.
        pin_memory: Whether batches go to a GPU.
    """
    modules = (Collator.__module__, type(collator.prepared).__module__)
    return DataLoader(
        RowIndices(num_rows),  # the collator reads the rows itself, a batch at a time
        batch_sampler=sampler,
        collate_fn=collator,
        num_workers=num_workers,
        multiprocessing_context=loader_context(*modules) if num_workers else None,
        worker_init_fn=settle_in,
        persistent_workers=num_workers > 0,  # to start them takes longer than a short epoch
        pin_memory=pin_memory,
    )


def loader_context(*modules: str) -> BaseContext:
    """How to start loader processes: from a server that has no threads, forked as fast as from this process.

    This process has threads of the training's backend. One may hold a lock of the interpreter at the moment of a
    fork, and the copy then waits for it for ever (CPython before 3.12).

    Args:
        modules: What the server imports once, for all loader processes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the server and all that it starts inherit this
    try:
        resource_tracker.ensure_running()  # which unblocks two of them here
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def settle_in(worker: int) -> None:
    """Called first in a loader process: a signal to all processes of a run is for the one that trains to answer."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # where another part of the program started the server
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_leave_when_told, daemon=True).start()
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _leave_when_told() -> None:
    """The process that trains ends its loader processes by SIGTERM, as a scheduler asks a whole run to stop."""
    owner = multiprocessing.parent_process()
    while owner is not None and signal.sigwaitinfo({signal.SIGTERM}).si_pid != owner.pid:
        pass
    os._exit(0)
