"""Check the installation: python src/lit_humor/doctor.py [full=true]; full asks torch and shows the hardware plan."""

import sys
from pathlib import Path

from lit_humor.runs.diagnosis import BAD, diagnose


def main() -> None:
    """Print what is there and what is missing; exit code 1 where a training could not start."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["full=true"]):
        sys.exit(f"Error: found {' '.join(arguments)}, expected nothing or full=true. Fix: doctor.py full=true")
    is_well = True
    for state, line in diagnose(Path(__file__).resolve().parents[2]):
        print(f"{state:4} {line}")
        is_well &= state != BAD
    if arguments and is_well:
        from lit_humor.engine.planning import show_plan

        show_plan()
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
