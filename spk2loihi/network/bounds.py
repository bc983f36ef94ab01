"""Proof that nothing overflows: the worst-case |membrane| of every stage, and the limits of the chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from spk2loihi import limits
from spk2loihi.errors import UserError
from spk2loihi.network.leak import FRACTION_BITS
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.soma import Limit, largest


def worst_drive(network: Network, stage: Stage, steps: int | None = None) -> int:
    """Largest |U| any input can cause over ``steps`` steps (default T): every presynaptic neuron at its worst rate.

    Feedback counts as any other group. Streamed: every payload at its largest, T, and half a unit.
    """
    t = network.timesteps if steps is None else steps
    added = np.zeros(stage.channels, dtype=np.int64) if stage.bias is None else np.abs(stage.bias)
    added = added * (1 if network.streamed else t)
    if stage.requantise is not None:
        added = added + stage.requantise.half
    if stage.attention is not None:
        right = network[stage.attention.right]
        terms = right.channels // stage.heads if stage.is_scores else network.max_tokens
        constant = 0 if stage.relative is None else largest(stage.relative)
        return t * t * terms + int(added.max()) + constant
    if not stage.synapses:
        e = network.embedding
        return sum(largest(table) for table in (e.word, e.position, e.token_type))
    bound = added
    for group in stage.synapses:
        weight = np.abs(group.scaled)
        bound = bound + t * (weight if group.one_to_one else weight.sum(1))
    return int(bound.max())


def worst_step(network: Network, stage: Stage, steps: int) -> int:
    """Largest |drive| of one step in a pipelined run of ``steps``; attention: new spikes on the counts of all."""
    if stage.attention is None:
        return worst_drive(network, stage, 1) if stage.depth else 0
    weight = network.leak.largest_weight(steps)
    return 2 * worst_drive(network, stage, weight) // weight


def largest_step(network: Network, stage: Stage) -> int:
    """Largest |drive| of one step that a message holds: 24 bits; of leaky attention 32, fractional bits included."""
    if stage.attention is None or not network.decay:
        return limits.MEMBRANE_MAX
    return limits.TRACE_MAX >> network.leak.fraction


def largest_mean(network: Network, stage: Stage) -> int:
    """Largest |mean drive| of a window that a soma function meets, given that of a window without leak.

    A weight of time is rounded down, by less than 2**-FRACTION_BITS of itself, and a product of two twice as much.
    """
    drive = worst_drive(network, stage)
    return drive + (drive >> FRACTION_BITS - 2) + 1 if network.decay and stage.depth else drive


def feedback_norm(stage: Stage) -> float:
    """Spectral norm of a stage's feedback, relative to its threshold; 0 without feedback.

    The clip of the neuron has Lipschitz constant 1, so below 1 the equilibrium exists and is the only one.
    """
    if stage.feedback is None or stage.feedback.one_to_one:
        return 0.0
    return float(np.linalg.norm(stage.feedback.scaled.astype(np.float64), 2)) / stage.threshold


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
            f"({limits.MEMBRANE_BITS} bits): use the `schedule` windowed, or train with fewer `timesteps`"
        )


def check_limits(network: Network) -> Network:
    """The network with ``max_drive`` proven for every stage.

    Raises:
        UserError: a bound, threshold, weight, bias or delay exceeds its limit.
    """
    checked = replace(network, stages=tuple(_check(network, stage) for stage in network.stages))
    if network.defaults.schedule == "settling":
        check_settling(network)
    return checked


def _check(network: Network, stage: Stage) -> Stage:
    drive = largest_mean(network, stage)
    for limit in _limits(network, stage, drive):
        if limit.value > limit.largest:
            width = "" if limit.bits is None else f" ({limit.bits} bits)"
            raise UserError(
                f"stage {stage.name}: {limit.what} {limit.value} exceeds {limit.largest}{width}: {limit.remedy}"
            )
    if not 1 <= stage.threshold <= limits.THRESHOLD_MAX:
        raise UserError(
            f"stage {stage.name}: threshold {stage.threshold} is outside 1 to {limits.THRESHOLD_MAX} "
            f"({limits.THRESHOLD_BITS} bits): train longer, or with another number of `bits`"
        )
    if (norm := feedback_norm(stage)) >= 1:
        raise UserError(
            f"stage {stage.name}: the norm of its feedback is {norm:.4f} times its threshold, but an equilibrium is "
            "sure to exist only below 1: train with a smaller `feedback`"
        )
    return replace(stage, max_drive=drive)


def _limits(network: Network, stage: Stage, drive: int) -> Iterator[Limit]:
    remedy = "use fewer `timesteps`, fewer `max_tokens` or a narrower layer"
    if network.streamed and stage.sources:  # the drive is a message, too
        yield Limit(
            "worst-case message", _largest_message(stage, drive), limits.MEMBRANE_MAX, remedy, limits.MEMBRANE_BITS
        )
    else:
        membrane = max(drive, _result_bound(stage, drive) + stage.threshold)  # before and after the soma function
        yield Limit("worst-case membrane", membrane, limits.MEMBRANE_MAX, remedy, limits.MEMBRANE_BITS)
    if stage.soma is not None:
        yield from stage.soma.limits(drive, stage.channels, network.timesteps)
    if stage.bias is not None:
        remedy = "train with more `bits` or without this teacher's outlier bias"
        if network.streamed:
            yield Limit("bias", largest(stage.bias), limits.STREAM_BIAS_MAX, remedy)
        else:
            yield Limit("bias", largest(stage.bias), limits.BIAS_MAX, remedy, limits.BIAS_BITS)
    for group in stage.synapses:
        yield Limit(f"weight from {group.source}", largest(group.weight), limits.WEIGHT_MAX, "use fewer `bits`")
        remedy = "train with fewer `bits`, so that the residual's weight gets smaller"
        yield Limit(
            f"weight exponent from {group.source}", int(group.exponent.max()), limits.WEIGHT_EXPONENT_MAX, remedy
        )
        yield Limit(f"delay from {group.source}", group.delay, limits.DELAY_MAX, "use a shallower layer")


def _largest_message(stage: Stage, drive: int) -> int:
    """Largest message inside a streamed stage: its drive, or the value before the range gate."""
    if stage.requantise is None:
        return drive
    return max(drive, (drive * int(stage.requantise.weight.max()) >> stage.requantise.shift) + 1)


def _result_bound(stage: Stage, drive: int) -> int:
    """Largest |z| of a stage: of its drive, or of its soma function."""
    return drive if stage.soma is None else stage.soma.bound(drive, stage.channels)
