"""Many processes that simulate one data set: `accelerate launch` starts them, on one machine or several."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from spk2loihi.data import Encoded
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.simulate import Simulation, simulate


def launched() -> bool:
    """Whether this process is one of several that `accelerate launch` (or torchrun) started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    if not launched():
        return True
    from accelerate import PartialState

    return bool(PartialState(cpu=True).is_main_process)


def simulate_together(
    backend: Backend, encoded: list[Encoded], batch_size: int = 64, advance: Callable[[int], None] = lambda n: None
) -> Simulation:
    """`simulate`, with the sentences dealt out to all processes; every process gets the result of one alone.

    ``advance`` counts the sentences of all, at this process's pace.
    """
    if not launched():
        return simulate(backend, encoded, batch_size, advance)
    from accelerate import PartialState
    from accelerate.utils import gather_object

    here = PartialState(cpu=True)
    started = time.perf_counter()
    # Longest first, in turn: every process gets about the same number of tokens.
    order = np.argsort([-len(one) for one in encoded], kind="stable")
    shares = [order[process :: here.num_processes] for process in range(here.num_processes)]
    own = [encoded[i] for i in shares[here.process_index]]
    part = simulate(backend, own, batch_size, lambda n: advance(n * here.num_processes)) if own else None
    whole = Simulation.joined([one for one in gather_object([part]) if one is not None])
    rows = np.concatenate([share for share in shares if len(share)])
    whole.logits = whole.logits[np.argsort(rows)]
    whole.wall_s = time.perf_counter() - started
    return whole
