"""A cluster of one machine that answers to sbatch, srun, sacct, scontrol and scancel as SLURM does, as far as we ask.

``python slurm.py COMMAND ARGUMENT...``; ``FAKE_SLURM`` is the folder of its state. Once a file ``<job>.limit`` lies
there, that job gets the signal that comes before its time limit.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATE = Path(os.environ["FAKE_SLURM"])
GRACE = 60.0  # seconds from the signal to the limit
OVER = ("COMPLETED", "FAILED", "CANCELLED")


@contextlib.contextmanager
def changed(job_id: str) -> Iterator[dict[str, Any]]:
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = STATE / f"{job_id}.json"
        job = json.loads(path.read_text()) if path.exists() else {}
        yield job
        path.with_suffix(".new").write_text(json.dumps(job))
        os.replace(path.with_suffix(".new"), path)


def read(job_id: str) -> dict[str, Any]:
    return json.loads((STATE / f"{job_id}.json").read_text())


def sbatch(script: str) -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", Path(script).read_text(), re.MULTILINE))
    number = str(len(list(STATE.glob("*.batch"))) + 1)
    (STATE / f"{number}.batch").write_text(Path(script).read_text())
    count = int(re.match(r"0-(\d+)", options["array"])[1]) + 1 if "array" in options else 0  # type: ignore[index]
    for job_id in [f"{number}_{index}" for index in range(count)] or [number]:
        with changed(job_id) as job:
            job |= {"state": "PENDING", "starts": 0, "options": options, "script": str(STATE / f"{number}.batch")}
        command = [sys.executable, __file__, "supervise", job_id]
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {number}")


def supervise(job_id: str) -> None:
    needed = read(job_id)["options"].get("dependency", "").removeprefix("afterok:").split(":")
    while left := [one for one in needed if one and read(one)["state"] != "COMPLETED"]:
        if any(read(one)["state"] in OVER for one in left):
            with changed(job_id) as job:
                job["state"] = "CANCELLED"
            return
        time.sleep(0.1)
    number, _, index = job_id.partition("_")
    array = {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if index else {}
    place = {
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }
    while read(job_id)["state"] in ("PENDING", "REQUEUED"):
        with changed(job_id) as job:
            job |= {"state": "RUNNING", "starts": job["starts"] + 1}
        batch = subprocess.Popen(["bash", job["script"]], env=os.environ | place | array | {"SLURM_JOB_ID": job_id})
        limit, end_at = STATE / f"{job_id}.limit", float("inf")
        while batch.poll() is None:
            state = read(job_id)
            if limit.exists() and "step" in state:
                limit.unlink()
                os.killpg(state["step"], signal.SIGUSR2)  # of job steps, not of the script
                end_at = time.monotonic() + GRACE
            if state["state"] in ("REQUEUED", "CANCELLED") or time.monotonic() > end_at:
                time.sleep(1)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(state["step"], signal.SIGKILL)
            time.sleep(0.1)
        with changed(job_id) as job:
            if job["state"] == "RUNNING":
                job["state"] = "FAILED" if batch.returncode else "COMPLETED"


def srun(arguments: list[str]) -> None:
    output = arguments[arguments.index("--output") + 1]
    while arguments[0].startswith("--"):
        arguments = arguments[2 if arguments[0] == "--output" else 1 :]
    job_id = os.environ["SLURM_JOB_ID"]
    os.setpgid(0, 0)
    with changed(job_id) as job:
        job["step"] = os.getpid()
    for old, new in (("%A_%a", job_id), ("%j", job_id), ("%t", "0")):
        output = output.replace(old, new)
    with open(output, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.execvp(arguments[0], arguments)


def sacct(arguments: list[str]) -> None:
    print("JobID|State|NodeList")
    for number in [arguments[index + 1] for index, one in enumerate(arguments) if one == "-j"]:
        for path in sorted([*STATE.glob(f"{number}.json"), *STATE.glob(f"{number}_*.json")]):
            print(f"{path.stem}|{read(path.stem)['state']}|here")


def set_state(job_id: str, state: str) -> None:
    with changed(job_id) as job:
        job["state"] = state


if __name__ == "__main__":
    name, rest = sys.argv[1], sys.argv[2:]
    if name == "supervise":
        supervise(rest[0])
    elif name == "sbatch":
        sbatch(rest[-1])
    elif name == "srun":
        srun(rest)
    elif name == "sacct":
        sacct(rest)
    elif name == "scontrol":
        assert rest[0] == "requeue"
        set_state(rest[1], "REQUEUED")
    elif name == "scancel":
        set_state(rest[0], "CANCELLED")
