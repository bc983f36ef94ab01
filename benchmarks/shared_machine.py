"""How much longer training takes beside other work.

    uv run python benchmarks/shared_machine.py [--jobs 2] [--steps 12] [--rounds 3]

Times steps of the 6-layer, 384-wide student (`training_operators.py` has the step) on as many threads as torch takes by
itself: alone, then beside jobs that never sleep. Two jobs on two cores leave a fair share of half. Threads wait for one
another after every product. With ``GOMP_SPINCOUNT=300000``, as the OpenMP runtime of torch has it by default, they spin
meanwhile, and what they spin away is time that the thread they wait for does not get. Passive threads sleep. Those of
`spk2loihi` spin for about a tenth of a millisecond, and then sleep. All kinds are measured in turns, alone and beside
others; the ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import spk2loihi  # noqa: F401 - before torch, whose threads it tells what to do

KINDS = {
    "spinning": {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300000"},  # the count has the last word
    "passive": {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
    "as here": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes that compete")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("no", "bf16"), default="no")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # what a child process does
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    seconds: dict[tuple[str, bool], list[float]] = {(kind, busy): [] for kind in KINDS for busy in (False, True)}
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for kind, busy in seconds:
            with competing(options.jobs if busy else 0):
                seconds[kind, busy].append(child(options, KINDS[kind]))
    print(f"{os.cpu_count()} cores, {options.jobs} competing jobs, load before {load:.1f}, {options.precision}")
    print(f"{'threads':<10} {'alone, s a step':>16} {'beside, s a step':>17} {'ratio':>6}  all")
    for kind in KINDS:
        alone, beside = (statistics.median(seconds[kind, busy]) for busy in (False, True))
        every = ", ".join(f"{b / a:.1f}" for a, b in zip(seconds[kind, False], seconds[kind, True], strict=True))
        print(f"{kind:<10} {alone:16.3f} {beside:17.3f} {beside / alone:6.2f}  {every}")


@contextmanager
def competing(jobs: int) -> Iterator[None]:
    """Processes that never sleep."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(jobs)]
    try:
        yield
    finally:
        for job in started:
            job.kill()
            job.wait()


def child(options: argparse.Namespace, environment: dict[str, str]) -> float:
    """Wall-clock seconds of a step, in a process of its own: a runtime reads its environment once."""
    command = [
        sys.executable, __file__, "--measure", "--steps", str(options.steps), "--precision", options.precision
    ]  # fmt: skip
    own = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(command, env={**kept, **environment}, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure(options: argparse.Namespace) -> None:
    import time

    import torch
    from training_operators import student_step

    shape = SimpleNamespace(batch=32, tokens=27, layers=6, hidden=384)
    torch.manual_seed(0)
    step = student_step(shape, "spikingbert", options.precision)
    step()
    started = time.perf_counter()
    for _ in range(options.steps):
        step()
    print((time.perf_counter() - started) / options.steps)


if __name__ == "__main__":
    main()
