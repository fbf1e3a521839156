"""Check the installation: python src/lit_humor/doctor.py [full=true]; full: the hardware plan, too."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if sys.version_info < (3, 11):  # noqa: UP036  # the one command that reports it
    sys.exit(
        f"Error: found Python {sys.version.split()[0]}, expected 3.11 or newer. Fix: make install PYTHON=python3.11"
    )
sys.path.insert(0, str(ROOT / "src"))  # in case the project is not installed

from lit_humor.runs.diagnosis import BAD, diagnose  # noqa: E402


def main() -> None:
    """Print what is installed and what is missing; exit code 1 if a training could not start."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        print(__doc__)
        return
    if arguments not in ([], ["full=true"]):
        sys.exit(f"Error: found {' '.join(arguments)}, expected nothing or full=true. Fix: doctor.py full=true")
    is_well = True
    for state, line in diagnose(ROOT):
        print(f"{state:4} {line}")
        is_well &= state != BAD
    if arguments and is_well:
        from lit_humor.engine.planning import show_plan

        show_plan()
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
