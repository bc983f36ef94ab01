"""Equations of NIR's neurons, stepped by forward Euler, in the form of Loihi's neuron.

Loihi: ``u' = (1 - d_u) u + W s``, ``v' = (1 - d_v) v + u' + b``, a spike and ``v' = 0`` where ``v' > theta``. With
``v`` counted from ``v_reset``, and a step ``dt``, the equations of NIR (Pedersen et al. 2024, Nature Communications
15:8122) become

- ``IF``, ``I``: ``d_u = 1``, ``d_v = 0``, weights times ``r dt``.
- ``LIF``, ``LI``: ``d_u = 1``, ``d_v = dt / tau``, weights times ``r dt / tau``, ``b = (v_leak - v_reset) dt / tau``.
- ``CubaLIF``, ``CubaLI``: ``d_u = dt / tau_syn``, ``d_v = dt / tau_mem``, weights times ``w_in r d_u d_v``,
  ``b = (v_leak - v_reset) d_v``. The current is stepped first, as snnTorch does it.
- ``Threshold``: ``d_u = d_v = 1``: it keeps nothing.

A constant input of ``CubaLIF`` acts on ``v`` here, at the strength it reaches in NIR after some ``tau_syn``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spk2loihi.netx.linear_map import Shape
from spk2loihi.netx.nir_file import READOUTS, Node, Values

_WHOLE = 1e-6  # single precision: a share of this size lost beyond all is taken for none


@dataclass(frozen=True)
class Equations:
    """Neurons of one population, one number each, of its shape.

    Attributes:
        current_decay, voltage_decay: what u and v lose in a step, 0 to 1.
        gain: of the weights.
        bias_gain: of a constant input, as a bias on v.
        leak_bias: added to v in every step.
        threshold: counted from the reset potential; infinite of a readout.
        reset: potential after a spike, and where neurons start.
        spikes: they send spikes; a readout sends its potential.
    """

    current_decay: Values
    voltage_decay: Values
    gain: Values
    bias_gain: Values
    leak_bias: Values
    threshold: Values
    reset: Values
    spikes: bool


def equations(node: Node, shape: Shape, dt: float) -> Equations:
    """Of a node's neurons.

    Raises:
        UserError: a time constant is shorter than a step, parameters do not fit the shape, or a threshold is below the
            reset potential.
    """

    def each(name: str, default: float = 0.0) -> Values:
        values = node.values.get(name, np.array(default))
        try:
            return np.broadcast_to(values if values.size > 1 else values.reshape(()), shape)
        except ValueError:
            raise node.refusal(f"has {name} of shape {values.shape} for neurons {shape}", "give one a neuron") from None

    def share(name: str) -> Values:
        """Of the state that a step takes away: dt / tau."""
        tau = each(name)
        if (tau <= 0).any():
            raise node.refusal(f"has {name} {tau.min():g}", "give a time above 0")
        lost = dt / tau
        if (lost > 1 + _WHOLE).any():
            raise node.refusal(
                f"has {name} {tau.min():g} s and loses {lost.max():.3g} of its state in a step of {dt:g} s",
                f"choose a smaller `dt`, of at most {tau.min():g}",
            )
        return np.minimum(lost, 1.0)

    one, zero = np.ones(shape), np.zeros(shape)
    spikes, reset = node.kind not in READOUTS, each("v_reset")
    if node.kind == "Threshold":
        return Equations(one, one, one, one, zero, each("threshold"), zero, True)
    threshold = each("v_threshold") - reset if spikes else np.full(shape, np.inf)
    if (threshold < 0).any():
        raise node.refusal(
            f"has v_threshold {each('v_threshold').min():g} below v_reset {reset.max():g}, and would fire for ever",
            "give a v_reset below the threshold",
        )
    resistance = each("r")
    if node.kind in ("IF", "I"):
        gain = resistance * dt
        return Equations(one, zero, gain, gain, zero, threshold, reset, spikes)
    if node.kind in ("LIF", "LI"):
        lost = share("tau")
        gain = lost * resistance
        return Equations(one, lost, gain, gain, lost * (each("v_leak") - reset), threshold, reset, spikes)
    current, lost = share("tau_syn"), share("tau_mem")
    gain = each("w_in", 1.0) * resistance * lost
    leak = lost * (each("v_leak") - reset)
    return Equations(current, lost, current * gain, gain, leak, threshold, reset, spikes)
