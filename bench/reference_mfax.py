"""Iterations of MFAX's learners, each when it is asked for, in an interpreter of their own.

`bench/deep.py` starts this file in the interpreter that holds what MFAX needs,

    PYTHON bench/reference_mfax.py CLONE ippo|m_omd OPTION ...    # of CWibault/mfax

and writes a line for each iteration that it wants; the answer is a line, {"seconds": 3.2}:
computing time of one iteration. The released script runs as it is, with its own options. It reads
`time.perf_counter` before and after each iteration: here the first reading waits to be asked, and
the second answers. Nothing of MFAX is imported before.
"""

import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

LEARNERS = Path("mfax", "algos", "rl", "algos")


def asked_for(script: Path) -> Callable[[], float]:
    """A clock for `script` that waits at every other reading; readings of others pass."""
    answers = os.fdopen(os.dup(1), "w")
    clock, began = time.perf_counter, None

    def read() -> float:
        nonlocal began
        if sys._getframe(1).f_globals.get("__file__") != str(script):
            return clock()
        if began is None:
            if not sys.stdin.readline():
                raise SystemExit(0)
            began = time.process_time()
            return began
        ended = time.process_time()
        print(json.dumps({"seconds": ended - began}), file=answers, flush=True)
        began = None
        return ended

    return read


def main(clone: str, learner: str, *options: str) -> None:
    """Run the script of a learner; what it prints goes to standard error."""
    script = Path(clone, LEARNERS, f"{learner}.py")
    sys.path.insert(0, clone)
    sys.argv = [str(script), *options]
    time.perf_counter = asked_for(script)
    os.dup2(2, 1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as ours
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
