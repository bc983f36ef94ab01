"""What a training step at equilibrium costs, as ratios measured in one run.

    uv run python benchmarks/training_step.py [--batch 32] [--tokens 16] [--layers 6] [--hidden 384] [--preset ...]

Prints the time of one optimiser step of the spiking student at T = 4, 16 and 100, over that of the same-shape BERT
(transformers), and over stepping T = 100 in time as SpikingBERT's published code does: a full forward pass with its
LayerNorms and softmaxes at every time step, then one backward pass at the equilibrium. Peak memory is that of a fresh
process for each, above the weights and optimiser state, so that one cannot hide behind another.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from transformers import BertConfig, BertForSequenceClassification

from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification

_STEPPED = 100  # SpikingBERT trains with T = 80 to 125
_CASES = ("ann", "stepped", "student-4", "student-16", "student-100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--preset", default="spikingbert")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", choices=_CASES, help=argparse.SUPPRESS)  # what a child process measures
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options)))
        return
    results = {}
    for case in _CASES:
        command = [sys.executable, __file__, *sys.argv[1:], "--case", case]
        results[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ann = results["ann"]["seconds"]
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{options.layers} layers, {options.hidden} wide, batch {options.batch} x {options.tokens} tokens")
    print(f"{'case':<12} {'s a step':>9} {'x ANN':>7} {'peak MiB':>9}")
    for case, r in results.items():
        print(f"{case:<12} {r['seconds']:9.3f} {r['seconds'] / ann:7.2f} {r['peak_mib']:9.0f}")
    print(f"stepping T = {_STEPPED} over the equilibrium at T = {_STEPPED}: "
          f"{results['stepped']['seconds'] / results['student-100']['seconds']:.0f}x")  # fmt: skip


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step, and peak memory above what the first, smallest step needed."""
    torch.manual_seed(0)
    case, _, timesteps = options.case.partition("-")
    shape = {
        "hidden_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.hidden // 32,
        "intermediate_size": 4 * options.hidden,
    }
    model: torch.nn.Module
    if case == "student":
        config = SpikingBertConfig(**shape, preset=options.preset, timesteps=int(timesteps), max_tokens=options.tokens)
        model = SpikingBertForSequenceClassification(config)
    else:
        model = BertForSequenceClassification(BertConfig(**shape, attn_implementation="sdpa"))
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    ids = torch.randint(1, 30522, (options.batch, options.tokens))
    labels = torch.randint(0, 2, (options.batch,))

    def step(ids: torch.Tensor, labels: torch.Tensor) -> None:
        if case == "stepped":
            with torch.no_grad():
                for _ in range(_STEPPED):
                    model(ids)
        loss = torch.nn.functional.cross_entropy(model(ids).logits, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    step(ids[:1], labels[:1])  # allocates optimiser state
    before = _peak()
    seconds = [_timed(lambda: step(ids, labels)) for _ in range(options.repeats if case != "stepped" else 1)]
    return {"seconds": statistics.median(seconds), "peak_mib": (_peak() - before) / 1024}


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _peak() -> int:
    """Peak resident memory of this process, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
