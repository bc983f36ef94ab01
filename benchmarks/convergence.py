"""How average spiking rates approach the solved equilibrium as T grows: a figure and a table, measured in one run.

    uv run python benchmarks/convergence.py [--steps 256] [--out docs/images/convergence.png]

Steps the spiking dynamics (`spk2loihi.models.dynamics`, in float64) of small random students, pipelined, and compares
the rates of every stage with the equilibrium. Prints mean |rate - equilibrium| over all stages, the slope of its
logarithm over the last four lengths (theory: -1), and the slope by depth for the deepest network.
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

from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.dynamics import spiking_dynamics

_TOKENS = (10, 6)  # lengths of the two random sentences
_SHORTEST = 4
_FITTED = 4  # lengths at the end of a curve that its slope is fitted to

Errors = dict[str, list[float]]
"""Mean |rate - equilibrium| by stage, one value a length."""


def student(**options: Any) -> SpikingBertForSequenceClassification:
    """16 channels, 2 heads, random weights, calibrated thresholds; rates are not rounded at equilibrium."""
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=50, hidden_size=16, num_attention_heads=2, intermediate_size=32, max_position_embeddings=16,
        max_tokens=16, timesteps=8, quantised=False, **options,
    )  # fmt: skip
    model = SpikingBertForSequenceClassification(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    with model.calibration():
        model(*sentences())
    return model.requires_grad_(False)


def sentences() -> tuple[Tensor, Tensor]:
    """Token ids and mask, (2, L)."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(max(_TOKENS)) < torch.tensor(_TOKENS)[:, None]).long()
    return torch.randint(1, 50, mask.shape, generator=generator) * mask, mask


@torch.no_grad()
def measure(model: SpikingBertForSequenceClassification, lengths: list[int]) -> Errors:
    """Errors after each of ``lengths`` steps of one run."""
    data = sentences()
    counts = model.equilibrium(*data).counts
    trains, _ = spiking_dynamics(model, *data, schedule="pipelined", steps=lengths[-1])
    errors: Errors = {}
    for stage in model.stages(*data):
        if stage.gate is None:
            break
        assert stage.mask is not None
        alive = stage.mask.expand_as(counts[stage.name]).bool()
        train, rate = trains[stage.name][:, alive], counts[stage.name][alive] / model.config.timesteps
        weights = (1 - model.config.leak) ** torch.arange(lengths[-1] - 1, -1, -1, dtype=rate.dtype)
        errors[stage.name] = [
            float((weights[-t:] @ train[:t] / weights[-t:].sum() - rate).abs().mean()) for t in lengths
        ]
    return errors


def measure_leak(lengths: list[int]) -> Errors:
    """Errors of a neuron that forgets over as many steps as it has: a leak of 1/t over t steps."""
    runs = [measure(student(num_hidden_layers=2, leak=1 / t), [t]) for t in lengths]
    return {name: [run[name][0] for run in runs] for name in runs[0]}


def overall(errors: Errors) -> list[float]:
    return [float(x) for x in np.mean(list(errors.values()), axis=0)]


def slope(lengths: list[int], curve: list[float]) -> float:
    return float(np.polyfit(np.log(lengths[-_FITTED:]), np.log(curve[-_FITTED:]), 1)[0])


def draw(lengths: list[int], curves: dict[str, list[float]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.loglog(lengths, curve, marker="o", markersize=3, label=f"{name} (slope {slope(lengths, curve):.2f})")
    axes.loglog(lengths, [curves["6 layers"][0] * lengths[0] / t for t in lengths], "k:", label="1/T")
    axes.set(xlabel="time steps T", ylabel="mean |average spiking rate - equilibrium|")
    axes.grid(which="both", alpha=0.2)
    axes.legend(fontsize=8)
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=256, help="longest run, a power of two")
    parser.add_argument("--out", type=Path, default=Path("docs/images/convergence.png"))
    arguments = parser.parse_args()
    lengths = [t for t in (2**k for k in range(20)) if _SHORTEST <= t <= arguments.steps]
    deepest = measure(student(num_hidden_layers=6), lengths)
    curves = {
        "2 layers": overall(measure(student(num_hidden_layers=2), lengths)),
        "6 layers": overall(deepest),
        "6 layers, neurocore": overall(measure(student(num_hidden_layers=6, preset="neurocore"), lengths)),
        "2 layers, feedback 0.8": overall(measure(student(num_hidden_layers=2, feedback=0.8), lengths)),
        "2 layers, leak 1/T": overall(measure_leak(lengths)),
        "2 layers, leak 1/32": overall(measure(student(num_hidden_layers=2, leak=1 / 32), lengths)),
    }
    print("| network | " + " | ".join(f"T = {t}" for t in lengths) + " | slope |")
    print("|---" * (len(lengths) + 2) + "|")
    for name, curve in curves.items():
        print(f"| {name} | " + " | ".join(f"{x:.4f}" for x in curve) + f" | {slope(lengths, curve):.2f} |")
    print("\nslope by stage of the 6 layers:")
    for name in ("embedding", *(f"layer.{i}.{part}" for i in range(6) for part in ("context", "ffn_out")), "pooler"):
        print(f"  {name:<18} {slope(lengths, deepest[name]):.2f}")
    draw(lengths, curves, arguments.out)


if __name__ == "__main__":
    main()
