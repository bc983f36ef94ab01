"""How the count-based engine's cost grows: over T, tokens, width, layers, batch and number of samples.

    uv run python benchmarks/scaling.py [--repeats 5] [--threads 1]

Students of random weights (calibrated, 8 bits) on random sentences of one length. One thing varies a table. Times are
CPU times of a sentence, the fastest of --repeats; *growth* is the time over the first row's, beside the growth of the
thing itself. Peak memory is that of a fresh process, above what it held before the run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from spk2loihi.data import Encoded, TokenBatch
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.network import Network
from spk2loihi.simulators import simulate
from spk2loihi.simulators.emulator.emulator import Emulator

BASE = {"T": 16, "tokens": 32, "width": 256, "layers": 2, "batch": 32}
TABLES = {
    "T": (2, 4, 8, 16, 32),
    "tokens": (16, 32, 64, 128),
    "width": (128, 256, 512),
    "layers": (1, 2, 4, 8),
    "batch": (1, 4, 16, 64, 256),
}
SAMPLES = (256, 1024, 4096)
VOCABULARY = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tables", nargs="*", default=[*TABLES, "samples"], choices=[*TABLES, "samples"])
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)  # what a child process measures
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.samples:
        print(json.dumps(stream(arguments.samples)))
        return
    print(f"T 16, 32 tokens, 256 wide, 2 layers, batch 32, but for what varies; {arguments.threads} threads")
    for what in arguments.tables:
        if what == "samples":
            samples_table()
            continue
        print(f"\n| {what} | ms a sentence | growth of time | growth of {what} |\n|---|---|---|---|")
        first = None
        for value in TABLES[what]:
            setting = {**BASE, what: value}
            seconds = measure(setting, arguments.repeats)
            first = first or (seconds, value)
            print(f"| {value} | {1e3 * seconds:.3g} | {seconds / first[0]:.2f} | {value / first[1]:.2f} |", flush=True)


def measure(setting: dict[str, int], repeats: int) -> float:
    """CPU seconds of a sentence."""
    emulator = Emulator(student(setting))
    data = sentences(setting["batch"], setting["tokens"])
    emulator.totals(data)
    times = []
    for _ in range(repeats):
        started = time.process_time()
        emulator.totals(data)
        times.append(time.process_time() - started)
    return min(times) / setting["batch"]


def samples_table() -> None:
    print("\n| samples | ms a sentence | peak memory, MiB |\n|---|---|---|")
    for samples in SAMPLES:
        command = [sys.executable, __file__, "--samples", str(samples)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {samples} | {result['ms']:.3g} | {result['mib']:.0f} |", flush=True)


def stream(samples: int) -> dict[str, float]:
    """One run of `simulate` over so many sentences of 4 to 32 tokens."""
    emulator = Emulator(student(BASE))
    rng = np.random.default_rng(0)
    encoded = [
        Encoded(rng.integers(1, VOCABULARY, n).astype(np.int32), np.zeros(n, np.uint8))
        for n in rng.integers(4, 33, samples)
    ]
    simulate(emulator, encoded[:1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    before, started = peak(), time.process_time()
    simulate(emulator, encoded)
    return {"ms": 1e3 * (time.process_time() - started) / samples, "mib": peak() - before}


def peak() -> float:
    """Highest resident memory, MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def sentences(batch: int, tokens: int) -> TokenBatch:
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (batch, tokens))
    return TokenBatch(ids, np.zeros_like(ids), np.full(batch, tokens))


def student(setting: dict[str, int]) -> Network:
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=VOCABULARY, hidden_size=setting["width"], num_hidden_layers=setting["layers"],
        num_attention_heads=setting["width"] // 32, intermediate_size=4 * setting["width"],
        max_position_embeddings=512, max_tokens=setting["tokens"], timesteps=setting["T"],
    )  # fmt: skip
    model = SpikingBertForSequenceClassification(config).eval()
    data = sentences(4, setting["tokens"])
    with torch.no_grad(), model.calibration():
        model(torch.from_numpy(data.input_ids), torch.from_numpy(data.mask).long())
    return fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy", "name": "random"}, {})


if __name__ == "__main__":
    main()
