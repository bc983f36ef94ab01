"""What a reader of results of a NIR file should know: what differs from its equations, and what may be a mistake."""

from __future__ import annotations

import numpy as np

from spk2loihi.netx.nir_populations import Plan
from spk2loihi.netx.quantise import Scale
from spk2loihi.netx.reading import Reading

_QUIET = 1 / 500  # of the threshold: what a spike adds where somebody may have mistaken dt
_COARSE = 64  # units of a threshold: with fewer, a bias is rounded by more than 1/128 of it


def notes_of(plan: Plan, reading: Reading, scales: list[Scale]) -> list[str]:
    """A sentence each, that begins with the node."""
    notes: list[str] = []
    for scale in scales:
        population = plan.populations[scale.node]
        node, e = population.node, population.equations
        if not e.spikes:
            bound = "" if (e.voltage_decay > 0).all() else "; nothing bounds it, and beyond 131,071 units it is wrong"
            notes.append(
                f"{node.name} ({node.kind}) sends no spikes: record layer {scale.layer} and divide its v by 64 x "
                f"{scale.units:.6g}{bound}"
            )
        elif population.drive and (e.threshold > 0).all():
            largest = max(float(np.abs(each.scaled(e.gain).filled).max()) for each in population.drive.values())
            if 0 < largest < _QUIET * float(e.threshold.min()) and not np.any(e.leak_bias + population.bias):
                notes.append(
                    f"{node.name} ({node.kind}): a spike adds {largest:.3g} to a potential with the threshold "
                    f"{float(e.threshold.min()):.3g}, check that a step is {reading.dt:g} s (sinabs and Rockpool: "
                    "`dt` 1, or the dt of the export)"
                )
        if reading.scales == "layer" and scale.limited_by == "weights" and e.spikes and population.shape != (1,):
            fewest = float(e.threshold.max()) * scale.units
            if fewest < _COARSE:
                notes.append(
                    f"{node.name} ({node.kind}): its largest weight leaves {fewest:.0f} units to a threshold; scales "
                    "of channels may round less"
                )
        if len(population.loop) > 1 and population.name == population.loop[0]:
            notes.append(
                f"{', '.join(population.loop)} are in a loop: what one sends another there arrives a step later, so "
                f"{len(population.loop)} connections take {len(population.loop)} steps, where tools that step NIR "
                "graphs take one; the comparison does the same"
            )
        if np.any(e.reset):
            notes.append(f"{node.name} ({node.kind}) starts at its v_reset")
        if node.kind.startswith("Cuba") and population.bias.any() and (e.current_decay < 1).any():
            steps = int(np.ceil(np.log(0.01) / np.log1p(-float(e.current_decay.min()))))
            notes.append(
                f"{node.name} ({node.kind}): its constant input acts in full from the first step, in NIR 99 % of it "
                f"after {steps}"
            )
    return notes
