"""A cloud of one machine and one bucket: the commands ``sky`` and ``aws`` as launch=cloud types them.

``FAKE_CLOUD`` holds ``bucket/`` and, of each job, ``<number>.yaml``, ``<number>.json`` and ``<number>.txt``. Where
``<number>.taken`` appears, the machine is taken away: what runs there is killed, and begins again on another.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CLOUD = Path(os.environ["FAKE_CLOUD"])


def aws(*arguments: str) -> int:
    """s3 sync SOURCE TARGET"""
    assert arguments[:2] == ("s3", "sync")
    source, target = (Path(one.replace("s3://jokes", str(CLOUD / "bucket"))) for one in arguments[2:])
    if source.exists():
        shutil.copytree(source, target, dirs_exist_ok=True)
    return 0


def sky(*arguments: str) -> int:
    """jobs launch --yes --detach-run FILE, or jobs queue --refresh --skip-finished --all --output json"""
    if arguments[1] == "queue":
        assert arguments == ("jobs", "queue", "--refresh", "--skip-finished", "--all", "--output", "json")
        jobs = [json.loads(path.read_text()) for path in sorted(CLOUD.glob("*.json"))]
        print(json.dumps([job for job in jobs if job["status"] == "RUNNING"]))
        return 0
    assert arguments[:4] == ("jobs", "launch", "--yes", "--detach-run")
    number = len(list(CLOUD.glob("*.yaml"))) + 1
    shutil.copy(arguments[4], CLOUD / f"{number}.yaml")
    _tell(number, "RUNNING", 0)
    subprocess.Popen([sys.executable, __file__, "machine", str(number)], start_new_session=True)
    return 0


def machine(number: str) -> int:
    """Run a task, on machine after machine."""
    task = json.loads((CLOUD / f"{number}.yaml").read_text())
    script = task["run"].replace("/lit_humor/logs", str(CLOUD / "bucket"))
    script = script.replace("./.venv/bin/python", os.environ.get("FAKE_PYTHON", sys.executable))
    for there, here in task["file_mounts"].items():
        if isinstance(here, str):
            script = script.replace(there, here)
    for start in range(9):
        _tell(int(number), "RUNNING", start)
        with (CLOUD / f"{number}.txt").open("a") as output:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=task["workdir"], stdout=output, stderr=output, start_new_session=True
            )
        while process.poll() is None and not (CLOUD / f"{number}.taken").exists():
            time.sleep(0.02)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        (CLOUD / f"{number}.taken").unlink()
    _tell(int(number), "FAILED" if process.returncode else "SUCCEEDED", start)
    return 0


def _tell(number: int, status: str, recoveries: int) -> None:
    task = json.loads((CLOUD / f"{number}.yaml").read_text())
    told = {"job_id": number, "job_name": task["name"], "status": status, "recovery_count": recoveries}
    (CLOUD / f"{number}.new").write_text(json.dumps(told))
    (CLOUD / f"{number}.new").rename(CLOUD / f"{number}.json")


if __name__ == "__main__":
    sys.exit({"aws": aws, "sky": sky, "machine": machine}[sys.argv[1]](*sys.argv[2:]))
