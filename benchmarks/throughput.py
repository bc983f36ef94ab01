"""The count-based engine beside its limits and its rivals, on one network, as ratios measured in one run.

    uv run python benchmarks/throughput.py model.net [--threads 1] [--sentences 64] [--lava 2] [--stock-lava 1]

One row each, in sentences a second and as a ratio:

* the count-based engine, counters included (`Emulator.totals` and `OperationCounter`, as `simulate` runs it);
* its bare int8 products of synapses, block by block as the engine makes them, and nothing else;
* the engine's reference in float32 (`Emulator.equilibrium`);
* a float32 torch loop over T (`stepped_loop.py`), whose answers are compared;
* with --lava N, Lava on the CPU as `simulate --backend cpu` runs it, with this project's model of token-wise
  convolutions and its channels, N sentences in one batch;
* with --stock-lava N, Lava on the CPU with its own convolutions and channels; what it lacks (soft-reset neurons,
  attention, skips) is this project's there too.

Import and compilation of Lava are excluded. A whole run of it is measured, and its logits compared, unless --lava-steps
K says to measure K time steps after a first one; the time of a sentence is then K steps' times the steps of a run over
K (a step costs the same whatever spikes there are: its convolutions are dense).

Sentences are spread evenly over the lengths of the held-out set. Times are CPU times of this process unless --wall:
on a shared machine those of others stay out. Lava works in processes of its own; its times are CPU times of them all.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stepped_loop import SteppedLoop

from spk2loihi.compiled import Bytes, Floats, compiled
from spk2loihi.data import Encoded, TaskSpec, TokenBatch, collate, load_held_out
from spk2loihi.network import RunConfig, read_network
from spk2loihi.network.network import Network
from spk2loihi.simulators import encode
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, VECTORS, multiply
from spk2loihi.simulators.emulator.count_engine import parts
from spk2loihi.simulators.emulator.count_program import compile_network
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.emulator.program_arrays import Program
from spk2loihi.simulators.emulator.program_loops import TILE, TOGETHER
from spk2loihi.simulators.lava import LavaBackend
from spk2loihi.simulators.lava.packing import pack
from spk2loihi.simulators.operation_counter import OperationCounter
from spk2loihi.simulators.simulate import pad_id

BATCH = 64
WINDOWED = RunConfig()  # whatever the file's own configuration: the rivals know no other schedule and encoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--loop-sentences", type=int, default=32, help="of the loop over T and the reference")
    parser.add_argument("--repeats", type=int, default=5, help="of the engine and its products; the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--lava", type=int, default=0, metavar="N")
    parser.add_argument("--stock-lava", type=int, default=0, metavar="N")
    parser.add_argument("--lava-steps", type=int, default=0, metavar="K")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.wall else time.process_time
    network = read_network(arguments.network)
    examples = load_held_out(TaskSpec.from_dict(network.task))
    encoded, _ = encode(network, examples)
    chosen = spread(encoded, arguments.sentences)
    all_batches = batches(network, chosen)
    few_batches = batches(network, spread(chosen, arguments.loop_sentences))
    emulator = Emulator(network, WINDOWED)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {arguments.threads} threads, "
        f"{'wall' if arguments.wall else 'CPU'} time, load {os.getloadavg()[0]:.1f}"
    )
    tokens = sum(int(batch.lengths.sum()) for batch in all_batches)
    print(f"T = {network.timesteps}, {len(chosen)} sentences of {tokens / len(chosen):.1f} tokens\n")
    print("| what | sentences/s | engine is |")
    print("|---|---|---|")

    multiply_them, operations = bare_products(network, all_batches)
    multiply_them()  # compiles
    run_engine(emulator, all_batches)
    engine = bare = float("inf")
    for _ in range(arguments.repeats):  # in turns
        engine = min(engine, fastest(lambda: run_engine(emulator, all_batches), clock, 1))
        bare = min(bare, fastest(multiply_them, clock, 1))
    row("count-based engine", len(chosen) / engine, "")
    row(
        f"its bare int8 products, {operations / bare / 1e9:.0f} Gop/s",
        len(chosen) / bare,
        f"{engine / bare:.2f} times their time",
    )

    few = sum(len(batch.lengths) for batch in few_batches)
    own = fastest(lambda: run_engine(emulator, few_batches), clock, arguments.repeats)
    reference = fastest(lambda: [emulator.equilibrium(batch) for batch in few_batches], clock, 1)
    row("its float32 reference", few / reference, f"{reference / own:.1f} x")
    loop = SteppedLoop(network)
    looped: list[Any] = []
    stepped = fastest(lambda: looped.extend(loop.logits(batch) for batch in few_batches), clock, 1)
    answers = np.concatenate([emulator.totals(batch).logits.argmax(1) for batch in few_batches])
    same = int((torch.cat(looped).argmax(1).numpy() == answers).sum())
    row(f"float32 torch loop over T, {same} of {few} answers the same", few / stepped, f"{stepped / own:.1f} x")

    for count, stock in ((arguments.lava, False), (arguments.stock_lava, True)):
        if count:
            lava_row(network, spread(chosen, count), own_rate(emulator, network, spread(chosen, count), clock), stock,
                     arguments.lava_steps, arguments.wall)  # fmt: skip


def own_rate(emulator: Emulator, network: Network, encoded: list[Encoded], clock: Callable[[], float]) -> float:
    """Sentences a second of the engine on the lengths given to Lava, as many of each as fill a batch."""
    batch = collate([one for one in encoded for _ in range(BATCH // len(encoded))], pad_id(network))
    return len(batch.lengths) / fastest(lambda: run_engine(emulator, [batch]), clock, 5)


def lava_row(network: Network, encoded: list[Encoded], rate: float, stock: bool, steps: int, wall: bool) -> None:
    batch = collate(encoded, pad_id(network))
    with LavaBackend(network, WINDOWED, stock_synapses=stock) as backend:
        if steps:
            running = backend._ready(batch.lengths)
            (places,) = pack(batch.lengths, running.graph.grid)
            backend._load(running.graph, batch, places, False)
            running.begin()
            running.run(1)
            started = lava_seconds(running, wall)
            running.run(steps)
            share = steps / running.graph.timing.latency
            seconds = (lava_seconds(running, wall) - started) / share
            what = f"from {steps} of {running.graph.timing.latency} steps"
        else:
            backend.run(batch)  # compiles
            running = backend._ready(batch.lengths)
            started = lava_seconds(running, wall)
            run = backend.run(batch)
            seconds = lava_seconds(running, wall) - started
            equal = np.array_equal(run.logits, Emulator(network, WINDOWED).totals(batch).logits)
            what = f"logits {'equal' if equal else 'DIFFER'}"
    name = "stock Lava" if stock else "Lava"
    lava = len(encoded) / seconds
    row(f"{name} on the CPU, batch of {len(encoded)}, {what}", lava, f"{rate / lava:,.0f} x")


def lava_seconds(running: Any, wall: bool) -> float:
    """CPU seconds of the processes of a compiled Lava network so far, or the clock's."""
    if wall:
        return time.perf_counter()
    stats = [Path(f"/proc/{actor.pid}/stat").read_text().rsplit(")")[-1].split() for actor in running.actors]
    return sum(int(user) + int(system) for *_, user, system in (stat[:13] for stat in stats)) / os.sysconf("SC_CLK_TCK")


def run_engine(emulator: Emulator, data: list[TokenBatch]) -> None:
    counter = OperationCounter(emulator.timeline)
    for batch in data:
        counter.add(emulator.totals(batch).sums, batch.lengths)
    counter.counted()


def bare_products(network: Network, data: list[TokenBatch]) -> tuple[Callable[[], object], int]:
    """The engine's products of synapses alone, block by block as it makes them, and their operations."""
    made = compile_network(network, "lava")
    if made is None:
        raise SystemExit("this network or processor does not use the int8 kernel, so there is no limit to compare with")
    program = made.arrays
    turns = [part for batch in data for part in parts(batch, max(stage.heads for stage in network.stages))]
    sizes = [(int(part.lengths.sum()), len(part.lengths)) for part in turns]
    width, axons = int(program.stages["width"].max()), int(program.groups["axons"].max())
    left, out = np.full(TOGETHER * axons, 17, np.uint8), np.empty(TOGETHER * width + TILE, np.float32)
    operations = sum(
        2 * group.weight.size * (sentences if stage.tokens == "first" else tokens)
        for stage in network.stages for group in stage.synapses if not group.one_to_one for tokens, sentences in sizes
    )  # fmt: skip
    return lambda: [multiply_all(program, *size, left, out) for size in sizes], operations


@compiled
def multiply_all(program: Program, tokens: int, sentences: int, left: Bytes, out: Floats) -> None:
    for stage in program.stages:
        rows = sentences if stage.first else tokens
        for group in program.groups[stage.first_group : stage.first_group + stage.groups]:
            for start in range(0, rows, TOGETHER):
                for column in range(0, stage.width, TILE):
                    multiply(
                        left, 0, group.axons, DEPTH, min(TOGETHER, rows - start), program.weights,
                        group.weight + column * group.axons, VECTORS * BLOCK, group.axons // DEPTH, VECTORS,
                        program.biases, group.bias + column, out, column, stage.width,
                    )  # fmt: skip


def spread(encoded: list[Encoded], count: int) -> list[Encoded]:
    """So many, evenly over the lengths; the middle one alone."""
    ordered = sorted(encoded, key=len)
    if count == 1:
        return [ordered[len(ordered) // 2]]
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)]


def batches(network: Network, encoded: list[Encoded]) -> list[TokenBatch]:
    ordered = sorted(encoded, key=len)
    return [collate(ordered[i : i + BATCH], pad_id(network)) for i in range(0, len(ordered), BATCH)]


def fastest(work: Callable[[], object], clock: Callable[[], float], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = clock()
        work()
        times.append(clock() - started)
    return min(times)


def row(what: str, rate: float, ratio: str) -> None:
    print(f"| {what} | {rate:.4g} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
