"""A streamed network in stock Lava, in the stepper and in the emulator: time of the same sentences in one run.

    uv run python benchmarks/streamed.py model.net [--sentences 1] [--all 872]

Prints seconds, ratios to the emulator (one sentence at a time), and whether logits are equal. Compiling is not in the
times. Then the share of values that the range gates stop, over ``--all`` held-out sentences. Lava needs some 12 GB for
a student of six layers.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from spk2loihi.data import TaskSpec, collate, load_held_out
from spk2loihi.network import read_network
from spk2loihi.simulators import create_backend, encode
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.simulate import pad_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("--sentences", type=int, default=1)
    parser.add_argument("--all", type=int, default=872)
    given = parser.parse_args()
    network = read_network(given.network)
    encoded, _ = encode(network, load_held_out(TaskSpec.from_dict(network.task)).take(given.all))
    few = encoded[: given.sentences]
    short = replace(network, max_tokens=max(len(sentence) for sentence in few))
    batches = [collate([sentence], pad_id(network)) for sentence in few]
    seconds, logits = {}, {}
    for name in ("emulator", "stepped", "cpu"):
        backend: Backend = create_backend(name, short)
        backend.run(batches[0])  # compiles
        started = time.perf_counter()
        logits[name] = np.concatenate([backend.run(batch).logits for batch in batches])
        seconds[name] = time.perf_counter() - started
        backend.close()
    tokens = sum(len(sentence) for sentence in few)
    print(f"{len(few)} sentences of {tokens} tokens in all, room for {short.max_tokens} tokens")
    for name, taken in seconds.items():
        equal = np.array_equal(logits[name], logits["emulator"])
        print(
            f"{name:9} {taken:9.3f} s   {taken / seconds['emulator']:9.1f} x   logits {'equal' if equal else 'DIFFER'}"
        )
    sums = [
        create_backend("emulator", network).totals(collate(encoded[at : at + 64], pad_id(network))).sums
        for at in range(0, len(encoded), 64)
    ]
    stopped = sum(one.inside.outliers for batch in sums for one in batch.values())
    sent = sum(one.events for batch in sums for one in batch.values())
    print(f"range gates stop {stopped:,} of {stopped + sent:,} values ({stopped / (stopped + sent):.2e})")


if __name__ == "__main__":
    main()
