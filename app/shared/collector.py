"""Streamlit collects garbage after every run of a script, all of it: with a model and a published run's verdicts in
memory that takes half a second. What survives such a slow collection stays for long, and later ones leave it out.
"""

import gc
import time

SLOW = 0.03  # seconds
FULL = 10  # every so many slow collections the next one looks at everything again
_started = 0.0
_slow = 0


def _set_survivors_aside(phase: str, info: dict[str, int]) -> None:
    global _started, _slow
    if info["generation"] < 2:
        return
    if phase == "start":
        _started = time.perf_counter()
    elif time.perf_counter() - _started > SLOW:
        _slow += 1
        if _slow % FULL:
            gc.freeze()  # they are still freed when nothing refers to them, all but cycles among them
        else:
            gc.unfreeze()


def install() -> None:
    """Begin, once a process: main.py is run anew for each answer."""
    if _set_survivors_aside not in gc.callbacks:
        gc.callbacks.append(_set_survivors_aside)
