"""How average spiking rates of exported networks approach their equilibrium: a figure and a table, measured in one run.

    uv run python benchmarks/convergence.py [--steps 256] [--out docs/images/convergence.png]

Exports small random students, steps their integers (pipelined, on the emulator), and compares the rates of every stage
with the equilibrium of the same integers, solved with unrounded rates. Prints mean |rate - equilibrium| over all
stages, the slope of its logarithm over the last four lengths (theory: -1, and 0 once a leak has forgotten the first
steps), and the slope by depth for the deepest network. Rates of leaky networks are weighted as the leak weighs, and in
rows that say so plain.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.data import Encoded
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.network import Network

_TOKENS = (10, 6)  # lengths of the two random sentences
_SHORTEST = 4
_FITTED = 4  # lengths at the end of a curve that its slope is fitted to
_TASK = {"labels": ["no", "yes"], "metric": "accuracy"}

Errors = dict[str, list[float]]
"""Mean |rate - equilibrium| by stage, one value a length."""


def network(**options: Any) -> Network:
    """16 channels, 2 heads, random weights, calibrated thresholds; T = 8."""
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=50, hidden_size=16, num_attention_heads=2, intermediate_size=32, max_position_embeddings=16,
        max_tokens=16, timesteps=8, **options,
    )  # fmt: skip
    model = SpikingBertForSequenceClassification(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    with model.calibration():
        model(*sentences())
    return fold(model, "{}", _TASK)


def sentences() -> tuple[Tensor, Tensor]:
    """Token ids and mask, (2, L)."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(max(_TOKENS)) < torch.tensor(_TOKENS)[:, None]).long()
    return torch.randint(1, 50, mask.shape, generator=generator) * mask, mask


def measure(exported: Network, lengths: list[int], weighted: bool = True) -> Errors:
    """Errors after each of ``lengths`` steps of one run."""
    ids = [row[:n].numpy() for row, n in zip(sentences()[0], _TOKENS, strict=True)]
    encoded = [Encoded(row.astype(np.int32), np.zeros(len(row), np.uint8)) for row in ids]
    errors: Errors = measure_convergence(exported, encoded, [0, 1], tuple(lengths), weighted)["mean_abs_error"]
    return errors


def measure_leak(lengths: list[int]) -> Errors:
    """Errors of a network that forgets over as many steps as it has: a leak of 1/t over t steps."""
    runs = [measure(network(num_hidden_layers=2, leak=1 / t), [t]) for t in lengths]
    return {name: [run[name][0] for run in runs] for name in runs[0]}


def overall(errors: Errors) -> list[float]:
    return [float(x) for x in np.mean(list(errors.values()), axis=0)]


def slope(lengths: list[int], curve: list[float]) -> float:
    return float(np.polyfit(np.log(lengths[-_FITTED:]), np.log(curve[-_FITTED:]), 1)[0])


def draw(lengths: list[int], curves: dict[str, list[float]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for i, (name, curve) in enumerate(curves.items()):
        label = f"{name} (slope {slope(lengths, curve):.2f})"
        axes.loglog(lengths, curve, marker="o", markersize=3, linestyle="-" if i < 10 else "--", label=label)
    axes.loglog(lengths, [curves["6 layers"][0] * lengths[0] / t for t in lengths], "k:", label="1/T")
    axes.set(xlabel="steps", ylabel="mean |average spiking rate - equilibrium|")
    axes.grid(which="both", alpha=0.2)
    axes.legend(fontsize=7)
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=256, help="longest run, a power of two")
    parser.add_argument("--out", type=Path, default=Path("docs/images/convergence.png"))
    arguments = parser.parse_args()
    lengths = [t for t in (2**k for k in range(20)) if _SHORTEST <= t <= arguments.steps]
    deepest = measure(network(num_hidden_layers=6), lengths)
    two = {
        "2 layers": {},
        "2 layers, feedback 0.8": {"feedback": 0.8},
        "2 layers, leak 1/16": {"leak": 1 / 16},
        "2 layers, leak 1/64": {"leak": 1 / 64},
        "2 layers, feedback 0.8, leak 1/64": {"feedback": 0.8, "leak": 1 / 64},
    }
    curves = {"6 layers": overall(deepest)}
    curves["6 layers, neurocore"] = overall(measure(network(num_hidden_layers=6, preset="neurocore"), lengths))
    for name, options in two.items():
        exported = network(num_hidden_layers=2, **options)
        curves[name] = overall(measure(exported, lengths))
        if exported.decay:
            curves[f"{name}, plain"] = overall(measure(exported, lengths, weighted=False))
    curves["2 layers, leak 1/T"] = overall(measure_leak(lengths))
    print("| network | " + " | ".join(f"{t}" for t in lengths) + " | slope |")
    print("|---" * (len(lengths) + 2) + "|")
    for name, curve in curves.items():
        print(f"| {name} | " + " | ".join(f"{x:.4f}" for x in curve) + f" | {slope(lengths, curve):.2f} |")
    print("\nslope by stage of the 6 layers:")
    for name in ("embedding", *(f"layer.{i}.{part}" for i in range(6) for part in ("context", "ffn_out")), "pooler"):
        print(f"  {name:<18} {slope(lengths, deepest[name]):.2f}")
    draw(lengths, curves, arguments.out)


if __name__ == "__main__":
    main()
