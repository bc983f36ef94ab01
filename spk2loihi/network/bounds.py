"""Proof that nothing overflows: the worst-case |membrane| of every stage, and the limits of the chip."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spk2loihi import limits
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.soma import GAMMA_BITS, GELU_MAX, GELU_RESULT_MAX, P_BITS, Gelu, HeadAffine, LayerNorm, Softmax


def worst_drive(network: Network, stage: Stage, steps: int | None = None) -> int:
    """Largest |U| any input can cause over ``steps`` steps (default T): every presynaptic neuron at its worst rate."""
    t = network.timesteps if steps is None else steps
    if stage.attention is not None:
        right = network[stage.attention.right]
        terms = right.channels // stage.heads if stage.is_scores else network.max_tokens
        return t * t * terms
    if not stage.synapses:
        e = network.embedding
        return int(sum(np.abs(table).max() for table in (e.word, e.position, e.token_type)))
    bound = t * np.abs(stage.bias) if stage.bias is not None else np.zeros(stage.channels, dtype=np.int64)
    for group in stage.synapses:
        weight = np.abs(group.scaled)
        bound = bound + t * (weight if group.one_to_one else weight.sum(1))
    return int(bound.max())


def worst_step(network: Network, stage: Stage, steps: int) -> int:
    """Largest |drive| of one step in a pipelined run of ``steps``; attention: new spikes on the counts of all."""
    if stage.attention is None:
        return worst_drive(network, stage, 1) if stage.depth else 0
    return 2 * worst_drive(network, stage, steps) // steps


def settling_membrane(network: Network, stage: Stage) -> int:
    """Largest |membrane| of the settling schedule: of ``z + threshold // 2 - threshold * tracer``.

    The tracer is bounded by T; and each spike needed a membrane beyond the threshold, so that threshold * |tracer| is
    at most that of the largest |z| there was, and a threshold.
    """
    z = _result_bound(stage, worst_drive(network, stage))
    if not stage.fires:
        return z
    return z + min(network.timesteps * stage.threshold, z + stage.threshold) + stage.threshold // 2


def settling_overflow(network: Network) -> tuple[str, int] | None:
    """First stage the membrane of which could leave 24 bits in a settling run, with its bound; None if none can."""
    for stage in network.stages:
        bound = settling_membrane(network, stage)
        if bound > limits.MEMBRANE_MAX:
            return stage.name, bound
    return None


def check_settling(network: Network) -> None:
    """
    Raises:
        UserError: a membrane could overflow in the settling schedule.
    """
    overflow = settling_overflow(network)
    if overflow is not None:
        stage, bound = overflow
        raise UserError(
            f"stage {stage}: worst-case membrane {bound} of a settling run exceeds {limits.MEMBRANE_MAX} "
            f"({limits.MEMBRANE_BITS} bits): use --schedule windowed, or train with fewer --timesteps"
        )


def _membrane_bound(stage: Stage, drive: int) -> int:
    """Largest |membrane| of a windowed stage, before or after its soma function; pipelined ones saturate."""
    return max(drive, _result_bound(stage, drive) + stage.threshold)


def _result_bound(stage: Stage, drive: int) -> int:
    """Largest |z| of a stage: of its drive, or of its soma function."""
    if stage.soma is None:
        return drive
    if isinstance(stage.soma, LayerNorm):  # |x| <= sqrt(d) std
        gamma, beta = (int(np.abs(x).max()) for x in (stage.soma.gamma, stage.soma.beta))
        result = ((math.isqrt(stage.channels) + 1) * gamma + beta) >> GAMMA_BITS
    elif isinstance(stage.soma, Softmax):
        result = int(stage.soma.gain(np.array([1 << P_BITS]))[0])
    elif isinstance(stage.soma, Gelu):
        result = GELU_RESULT_MAX
    elif isinstance(stage.soma, HeadAffine):
        result = int((drive * np.abs(stage.soma.weight) + np.abs(stage.soma.bias)).max())
    else:
        result = drive << stage.soma.exponent
    return result


def check_limits(network: Network) -> Network:
    """The network with ``max_drive`` proven for every stage.

    Raises:
        UserError: a bound, threshold, weight, bias or delay exceeds its limit.
    """
    checked = replace(network, stages=tuple(_check(network, stage) for stage in network.stages))
    if network.schedule == "settling":
        check_settling(network)
    return checked


def _check(network: Network, stage: Stage) -> Stage:
    drive = worst_drive(network, stage)
    _limit(
        stage, "worst-case membrane", _membrane_bound(stage, drive), limits.MEMBRANE_MAX,
        "use fewer --timesteps, fewer --max-tokens or a narrower layer", limits.MEMBRANE_BITS,
    )  # fmt: skip
    if isinstance(stage.soma, LayerNorm):
        _limit(
            stage, "worst-case LayerNorm drive", drive, LayerNorm.max_drive(stage.channels),
            "use fewer --timesteps or a narrower layer",
        )  # fmt: skip
    if isinstance(stage.soma, Gelu):
        argument = int(stage.soma.scale(np.array([drive]))[0])
        _limit(
            stage,
            "worst-case GELU argument",
            argument,
            GELU_MAX,
            "use fewer --timesteps or a narrower layer",
        )
    if isinstance(stage.soma, HeadAffine):
        _limit(
            stage, "score bias a step", -(-int(np.abs(stage.soma.bias).max()) // network.timesteps), limits.BIAS_MAX,
            "use more --timesteps", limits.BIAS_BITS,
        )  # fmt: skip
        _limit(stage, "score weight", int(np.abs(stage.soma.weight).max()), limits.WEIGHT_MAX, "use fewer --timesteps")
    if not 1 <= stage.threshold <= limits.THRESHOLD_MAX:
        raise UserError(
            f"stage {stage.name}: threshold {stage.threshold} is outside 1 to {limits.THRESHOLD_MAX} "
            f"({limits.THRESHOLD_BITS} bits): train longer, or with another --bits"
        )
    if stage.bias is not None:
        _limit(
            stage, "bias", int(np.abs(stage.bias).max()), limits.BIAS_MAX,
            "train with more --bits or without this teacher's outlier bias", limits.BIAS_BITS,
        )  # fmt: skip
    for group in stage.synapses:
        largest = int(np.abs(group.weight).max(initial=0))
        _limit(stage, f"weight from {group.source}", largest, limits.WEIGHT_MAX, "use fewer --bits")
        _limit(
            stage, f"weight exponent from {group.source}", int(group.exponent.max()), limits.WEIGHT_EXPONENT_MAX,
            "train with fewer --bits, so that the residual's weight gets smaller",
        )  # fmt: skip
        _limit(stage, f"delay from {group.source}", group.delay, limits.DELAY_MAX, "use a shallower layer")
    return replace(stage, max_drive=drive)


def _limit(stage: Stage, what: str, value: int, limit: int, remedy: str, bits: int | None = None) -> None:
    if value > limit:
        width = "" if bits is None else f" ({bits} bits)"
        raise UserError(f"stage {stage.name}: {what} {value} exceeds {limit}{width}: {remedy}")
