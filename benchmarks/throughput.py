"""Throughput of the backends on one network, as ratios measured in one run.

    uv run python benchmarks/throughput.py model.net [--sentences 64] [--lava]

Prints sentences a second of the count-based emulator, of the stepped emulator and, with --lava, of Lava on the CPU
(import and compilation excluded), and how many times faster the first is.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

from spk2loihi.data import Encoded, TaskSpec, load_held_out
from spk2loihi.export import read_network
from spk2loihi.simulators import Backend, create_backend, encode, simulate

_LAVA_SENTENCES = 8


def sentences_a_second(backend: Backend, encoded: list[Encoded], batch: int) -> float:
    simulate(backend, encoded[:batch], batch)  # warm up; Lava compiles
    started = time.perf_counter()
    simulate(backend, encoded, batch)
    return len(encoded) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--lava", action="store_true")
    arguments = parser.parse_args()
    network = read_network(arguments.network)
    encoded, _ = encode(network, load_held_out(TaskSpec.from_dict(network.task)).take(arguments.sentences))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, T = {network.timesteps}")
    count = sentences_a_second(create_backend("emulator", network), encoded, 64)
    print(f"{'emulator':<10} {count:10.2f} sentences/s")
    rivals = [("stepped", encoded, 32)] + ([("cpu", encoded[:_LAVA_SENTENCES], 8)] if arguments.lava else [])
    for name, data, batch in rivals:
        backend = create_backend(name, network)
        rate = sentences_a_second(backend, data, batch)
        backend.close()
        print(f"{name:<10} {rate:10.3f} sentences/s; the emulator is {count / rate:.1f} x faster")


if __name__ == "__main__":
    main()
