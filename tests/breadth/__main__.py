"""`python -m breadth`: everything through convert, publish, Triton and client; `make coverage`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

# One thread each: there are as many processes as cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the suite; 1 if anything is wrong."""
    # After the environment is set.
    from breadth import _report
    from breadth._estimators import estimator_cases
    from breadth._pipelines import pipeline_cases
    from breadth._run import run

    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(prog="breadth", description=__doc__)
    parser.add_argument("names", nargs="*", help="only cases with one of these in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="folder of coverage.md and coverage.json")
    options = parser.parse_args()
    kinds = {"estimator": estimator_cases(), "pipeline": pipeline_cases()}
    if options.names:
        kinds = {
            kind: [case for case in cases if any(name in case.name for name in options.names)]
            for kind, cases in kinds.items()
        }
    with _report.progress(sum(map(len, kinds.values()))) as done:
        outcomes = run(kinds, jobs=options.jobs, done=done)
    _report.show(outcomes)
    if options.output or not options.names:
        _report.write(outcomes, options.output or ROOT / "docs")
    return int(any(outcome.status.bad for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
