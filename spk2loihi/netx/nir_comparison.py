"""Integers beside the equations they stand for: spikes and rates of every population, on the same input.

A level of Loihi takes a step, and its biases act from the first step on. The equations are run with the same latency
(`run_equations`), so what is compared is quantisation alone, step by step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.nir_model import as_nir, run_equations
from spk2loihi.netx.nir_reader import NirConversion
from spk2loihi.netx.stock_network import StockNetwork

GENERATED = {"samples": 4, "steps": 128, "density": 0.2, "seed": 0}
"""Input where none is given: independent spikes."""
_POTENTIAL = 64  # units of v in one unit of weights and thresholds


@dataclass(frozen=True)
class PopulationComparison:
    """One population, in integers and in equations.

    Attributes:
        layer: of the netx file.
        delay: steps that its answers come later than in NIR.
        neurons, spikes, float_spikes: of all samples and steps.
        equal_steps: share of neuron-steps in which both send the same.
        mean_rate_error, largest_rate_error: of the spikes a step of a neuron of a sample, 1 being full rate; of a
            readout, of its potential, as a share of the largest.
    """

    node: str
    layer: int
    delay: int
    neurons: int
    spikes: int | None
    float_spikes: int | None
    equal_steps: float | None
    mean_rate_error: float
    largest_rate_error: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def generated_input(network: StockNetwork) -> NDArray[np.int8]:
    """Spikes for `compare`, (samples, *input shape, steps), the same in every run: `GENERATED`."""
    rng = np.random.default_rng(int(GENERATED["seed"]))
    shape = (int(GENERATED["samples"]), *network.input_shape, int(GENERATED["steps"]))
    return (rng.random(shape) < GENERATED["density"]).astype(np.int8)


def compare(conversion: NirConversion, network: StockNetwork, inputs: NDArray[Any]) -> list[PopulationComparison]:
    """Args:
    network: that the conversion became.
    inputs: spikes or payloads, (B, *input_shape, steps).
    """
    plan = conversion.plan
    given = inputs if network.input_message_bits else inputs != 0
    equations = run_equations(plan, as_nir(given, plan.input_shape), conversion.reading.dt, latency=True)
    numbers = sorted({scale.layer for scale in conversion.scales})
    run = network.run(inputs, numbers)
    found = []
    for scale in conversion.scales:
        population = plan.populations[scale.node]
        record = run.layers[scale.layer]
        real = equations[scale.node].reshape(*equations[scale.node].shape[:2], -1)
        potential = not population.equations.spikes
        held = record.states["v"] if potential else record.s
        ours = as_nir(held, (-1,))[..., scale.first : scale.first + scale.size].astype(np.float64)
        if potential:
            difference = np.abs(ours / (_POTENTIAL * scale.units) - real) / max(float(np.abs(real).max()), 1e-12)
        else:
            difference = np.abs(ours.mean(1) - real.mean(1))  # (B, neurons)
        found.append(
            PopulationComparison(
                node=scale.node,
                layer=scale.layer,
                delay=population.level,
                neurons=scale.size,
                spikes=None if potential else int(ours.sum()),
                float_spikes=None if potential else int(real.sum()),
                equal_steps=None if potential else float((ours == real).mean()),
                mean_rate_error=float(difference.mean()),
                largest_rate_error=float(difference.max()),
            )
        )
    return found
