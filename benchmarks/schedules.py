"""Rate, graded and settling: the same network, the same answers, side by side.

    python benchmarks/schedules.py model.net --samples 64
    python benchmarks/schedules.py model.net --samples 64 --stagger 16 8 4 2 1 --step-us 10
    python benchmarks/schedules.py model.net --samples 2 --backend cpu

Runs held-out sentences of the network's own task windowed (rate, graded) and settling, compares the count of every
neuron and every logit with the rate run, and prints a Markdown table: a sentence's SynOps, messages, steps, neuron
updates, elements through host operations, and energy at the prices of Loihi 1 (Davies et al. 2018). Latency is that of
the slowest sentence, and of the average one; throughput is one sentence after the other. Without --step-us no step is
given a duration, because none is published for such a network. With ``--backend cpu`` Lava runs the same and its spikes
are compared with the emulator's, step by step.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import Encoded, TaskSpec, collate, length_sorted_batches, load_held_out
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.estimate import network_energy, synops
from spk2loihi.network import Network, RunConfig, read_network
from spk2loihi.simulators import create_backend, encode, verify
from spk2loihi.simulators.backend import Backend, Run
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.operation_counter import count_operations
from spk2loihi.simulators.simulate import pad_id

_PRICES = BUILTIN_SETS["loihi1-davies2018"]
_HEADINGS = (
    "schedule", "SynOps", "messages", "steps, slowest", "steps, mean", "updates, active", "updates, inactive",
    "host elements", "synapses", "neurons", "total", "mismatches",
)  # fmt: skip


@dataclass
class Row:
    """One way to run the network, and what it cost so far."""

    name: str
    config: RunConfig
    backend: Backend
    ops: list[StageOps] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    mismatches: int = 0

    def add(self, run: Run, reference: Run, lengths: NDArray[np.int64]) -> None:
        ops = count_operations(self.backend.timeline, run.events, lengths, run.settled)
        self.ops = [a + b for a, b in zip(self.ops, ops, strict=True)] if self.ops else ops
        self.steps += [run.latency_steps] * len(lengths) if run.settled is None else run.settled.steps.tolist()
        self.mismatches += int(np.count_nonzero(run.logits != reference.logits))
        self.mismatches += sum(int(np.count_nonzero(run.counts[s] != n)) for s, n in reference.counts.items())

    def cells(self) -> list[str]:
        samples = len(self.steps)
        energy = network_energy(self.ops, _PRICES, self.backend.timeline.encoding)
        host = sum(sum(o.host.values()) for o in self.ops) / samples
        return [
            self.name,
            f"{synops(self.ops) / samples / 1e6:.1f} M",
            f"{sum(o.messages for o in self.ops) / samples / 1e3:,.0f} k",
            f"{max(self.steps):,}",
            f"{sum(self.steps) / samples:,.0f}",
            f"{sum(o.active_updates for o in self.ops) / samples / 1e6:.1f} M",
            f"{sum(o.inactive_updates for o in self.ops) / samples / 1e6:.1f} M",
            f"{host / 1e3:,.0f} k",
            *(f"{pj / samples / 1e9:.2f} mJ" for pj in (energy.synapse, energy.neuron, energy.total)),
            f"{self.mismatches}",
        ]


def compare(network: Network, encoded: list[Encoded], staggers: list[int], batch_size: int) -> list[Row]:
    ways = [
        ("windowed, rate", RunConfig("windowed", "rate")),
        ("windowed, graded", RunConfig("windowed", "graded")),
        *((f"settling, stagger {stagger}", RunConfig("settling", stagger=stagger)) for stagger in staggers),
    ]
    rows = [Row(name, config, create_backend("emulator", network, config)) for name, config in ways]
    for index in length_sorted_batches(np.array([len(e) for e in encoded]), batch_size):
        batch = collate([encoded[i] for i in index], pad_id(network))
        reference = rows[0].backend.run(batch)
        for row in rows:
            run = reference if row is rows[0] else row.backend.run(batch)
            row.add(run, reference, batch.lengths)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--stagger", type=int, nargs="+", help="default: the file's")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--step-us", type=float, help="duration of a time step of your system, microseconds")
    parser.add_argument("--backend", choices=["emulator", "cpu"], default="emulator")
    arguments = parser.parse_args()
    network = read_network(arguments.network)
    examples = load_held_out(TaskSpec.from_dict(network.task)).take(arguments.samples)
    encoded, _ = encode(network, examples)
    rows = compare(network, encoded, arguments.stagger or [network.defaults.stagger], arguments.batch)
    print(f"{arguments.network.name}: T = {network.timesteps}, {len(encoded)} sentences of {network.task['name']}\n")
    print("| " + " | ".join(_HEADINGS) + " |")
    print("|---" * len(_HEADINGS) + "|")
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    if arguments.step_us is not None:
        print(f"\nat {arguments.step_us:g} us a step (your figure), one sentence after the other:")
        for row in rows:
            mean = sum(row.steps) / len(row.steps) * arguments.step_us
            slowest = max(row.steps) * arguments.step_us
            print(f"  {row.name:<24} {slowest / 1e3:.3f} ms at most, {1e6 / mean:,.0f} sentences a second")
    if arguments.backend == "cpu":
        for row in rows:
            lava = create_backend("cpu", network, row.config)
            try:
                result = verify(row.backend, lava, encoded)
            finally:
                lava.close()
            print(f"{row.name}, emulator and cpu: {result.mismatches} mismatches in {result.spikes_compared:,}")


if __name__ == "__main__":
    main()
