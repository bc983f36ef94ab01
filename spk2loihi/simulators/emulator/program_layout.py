"""Puts a network's numbers into the arrays of a `Program`, once, before the first sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.network.network import Network, Stage, SynapseGroup
from spk2loihi.simulators.emulator.attention_firing import AffineScoreFire, SoftmaxFire, score_fire
from spk2loihi.simulators.emulator.byte_products import fires_exactly, pack
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, pack_weight
from spk2loihi.simulators.emulator.firing import AffineFire, GeluFire, LayerNormFire, fire
from spk2loihi.simulators.emulator.payload_firing import PayloadFire, PayloadScoreFire
from spk2loihi.simulators.emulator.program_arrays import (
    AFFINE,
    CONTEXT,
    EMBEDDING,
    GELU,
    GROUP,
    LAYER_NORM,
    LINEAR,
    PAYLOAD,
    READOUT,
    SCORES,
    SHORT_AFFINE,
    SOFTMAX,
    STAGE,
    Program,
    whole_depths,
)
from spk2loihi.simulators.emulator.program_loops import TILE

_BYTE_MAX = 255


def lay_out(network: Network, arithmetic: Arithmetic) -> Program | None:
    """None if a stage is none that the loops know, or an axon's exponents do not fit its bytes."""
    if any(stage.relative is not None for stage in network.stages):
        return None
    return _Layout(network, arithmetic).program()


class _Layout:
    def __init__(self, network: Network, arithmetic: Arithmetic) -> None:
        self._network, self._arithmetic, self._most = network, arithmetic, network.timesteps
        self._index = {stage.name: i for i, stage in enumerate(network.stages)}
        self._weights, self._biases = _Array(np.int8), _Array(np.int32)
        self._floats, self._doubles = _Array(np.float32), _Array(np.float64)
        self._whole, self._bytes = _Array(np.int64), _Array(np.uint8)
        self._groups: list[dict[str, int]] = []
        self._skips: list[dict[str, int]] = []

    def program(self) -> Program | None:
        stages = self._network.stages
        records = np.zeros(len(stages), STAGE)
        for i, stage in enumerate(stages):
            record = self._stage(stage)
            if record is None:
                return None
            for name, value in record.items():
                records[i][name] = value
        self._counters(records)
        _slots(stages, self._index, records)
        e = self._network.embedding
        return Program(
            records,
            _records(self._groups),
            _records(self._skips),
            self._weights.joined(),
            self._biases.joined(),
            self._floats.joined(),
            self._doubles.joined(),
            self._whole.joined(),
            self._bytes.joined(),
            e.word.astype(np.float32),
            e.position.astype(np.float32),
            e.token_type.astype(np.float32),
            self._most,
        )

    def _counters(self, records: NDArray[Any]) -> None:
        for stage in self._network.stages:
            for source in stage.sources:
                records["attended"][self._index[source]] |= stage.attention is not None
                records["first_used"][self._index[source]] |= stage.tokens == "first"
        wide = np.where(records["kind"] == SCORES, 0, records["width"])
        records["channels"] = np.cumsum(wide) - wide

    def _stage(self, stage: Stage) -> dict[str, Any] | None:
        """Fields of its record, or None."""
        common = {
            "width": stage.channels, "heads": stage.heads, "zero": self._most if stage.signed else 0,
            "first": stage.tokens == "first", "threshold": stage.threshold,
        }  # fmt: skip
        firing = self._firing(stage) if stage.fires else {}
        if firing is None:
            return None
        if stage.attention is not None:
            left, right = (self._index[name] for name in (stage.attention.left, stage.attention.right))
            width = self._network[stage.attention.right].channels
            if width % (stage.heads * DEPTH) or (stage.is_scores and stage.signed):
                return None
            kind = SCORES if stage.is_scores else CONTEXT
            return {**common, **firing, "kind": kind, "left": left, "right": right}
        if not stage.synapses:
            return {**common, **firing, "kind": EMBEDDING}
        drive = self._synapses(stage)
        return None if drive is None else {**common, **firing, **drive, "kind": LINEAR if stage.fires else READOUT}

    def _synapses(self, stage: Stage) -> dict[str, int] | None:
        assert stage.bias is not None
        bias = stage.bias * (1 if self._network.streamed else self._most)
        start = {"first_group": len(self._groups), "first_skip": len(self._skips)}
        for group in stage.synapses:
            if group.one_to_one:
                bias = bias - group.scaled * self._zero(group)
                weight = self._floats.add(group.scaled)
                self._skips.append({"source": self._index[group.source], "weight": weight})
        for group in stage.synapses:
            if not group.one_to_one:
                packed = pack(group, self._zero(group), self._most, _BYTE_MAX)
                if packed is None:
                    return None
                packed_weight, factor, offset, repeated, zero = packed
                bias = bias - packed_weight.sum(1, dtype=np.int64) * zero
                filled = np.zeros(-(-stage.channels // TILE) * TILE, np.int64)
                filled[: stage.channels] = bias
                axons = int(whole_depths(packed_weight.shape[1]))
                changed = offset.any() or (factor != 1).any() or axons != len(factor)
                self._groups.append(
                    {
                        "source": self._index[group.source], "weight": self._weights.add(pack_weight(packed_weight)),
                        "bias": self._biases.add(filled), "axons": axons, "plain": not changed,
                        "factor": self._bytes.add(np.concatenate([factor, offset])),
                        "repeated": self._whole.add(repeated), "repeats": len(repeated),
                    }
                )  # fmt: skip
                bias = np.zeros_like(bias)
        return {
            **start, "groups": len(self._groups) - start["first_group"],
            "skips": len(self._skips) - start["first_skip"], "start": self._floats.add(bias),
        }  # fmt: skip

    def _zero(self, group: SynapseGroup) -> int:
        return self._most if self._network[group.source].signed else 0

    def _firing(self, stage: Stage) -> dict[str, Any] | None:
        if stage.is_scores:
            return self._score_firing(stage)
        one = fire(stage, self._most if stage.signed else 0, self._most, self._arithmetic)
        if isinstance(one, PayloadFire):
            return self._payload(one, one.half)
        if isinstance(one, AffineFire):
            short = stage.soma is None and fires_exactly(stage.threshold, self._most)
            return {"firing": SHORT_AFFINE if short else AFFINE, "scale": one.scale, "offset": one.offset}
        if isinstance(one, LayerNormFire):
            gamma, beta = one.scaled
            whole = np.concatenate([one.soma.gamma, one.soma.beta])
            places = {"at": self._floats.add(gamma), "also_at": self._floats.add(beta)}
            return {"firing": LAYER_NORM, "doubt": one.doubt, **places, "whole_at": self._whole.add(whole)}
        if isinstance(one, GeluFire):
            slope, gain, offset = one.parameters
            return {
                "firing": GELU, "scale": slope, "offset": offset, "doubt": one.doubt, "at": self._floats.add(gain),
                "whole_at": self._whole.add(one.exponent), **_multipliers(one.multipliers),
            }  # fmt: skip
        return None

    def _score_firing(self, stage: Stage) -> dict[str, Any]:
        one = score_fire(stage, self._most, self._network.max_tokens, self._arithmetic)
        if isinstance(one, PayloadScoreFire):
            return self._payload(one.fire, one.start)
        if isinstance(one, SoftmaxFire):
            return {
                "firing": SOFTMAX, "scale": one.spikes, "offset": one.offset, "doubt": one.doubt_of_floats,
                "unit": one.unit, "last": one.last, **_multipliers(one.multipliers),
            }  # fmt: skip
        assert isinstance(one, AffineScoreFire)
        at, also_at = (self._doubles.add(np.broadcast_to(x, stage.heads)) for x in (one.scale, one.offset))
        return {"firing": AFFINE, "at": at, "also_at": also_at}

    def _payload(self, one: PayloadFire, start: NDArray[np.int64]) -> dict[str, Any]:
        whole = self._whole.add(np.concatenate([start, one.weight]))
        numbers = {"shift": one.shift, "relu": one.relu, "limit": one.limit, "chip": one.chip}
        return {"firing": PAYLOAD, "whole_at": whole, **numbers}


class _Array:
    """Arrays one after another."""

    def __init__(self, kind: Any) -> None:
        self._kind, self._parts, self._size = kind, list[NDArray[Any]](), 0

    def add(self, values: NDArray[Any]) -> int:
        """Where they start."""
        at = self._size
        self._parts.append(values.astype(self._kind).ravel())
        self._size += values.size
        return at

    def joined(self) -> NDArray[Any]:
        size = np.dtype(self._kind).itemsize
        room = np.empty(self._size * size + BLOCK, np.uint8)
        start = -room.ctypes.data % BLOCK  # a block of weights is then one line of a cache
        made: NDArray[Any] = room[start : start + self._size * size].view(self._kind)
        return np.concatenate(self._parts, out=made) if self._parts else made


def _records(rows: list[dict[str, int]]) -> NDArray[Any]:
    made = np.zeros(len(rows), GROUP)
    for i, row in enumerate(rows):
        for name, value in row.items():
            made[i][name] = value
    return made


def _multipliers(multipliers: tuple[int, int, int, int]) -> dict[str, int]:
    names = ("scale_mantissa", "scale_shift", "gain_mantissa", "gain_shift")
    return dict(zip(names, multipliers, strict=True))


def _slots(stages: Sequence[Stage], index: dict[str, int], records: NDArray[Any]) -> None:
    """A place for every stage's counts: of its own, and another that it takes only as long as they are needed."""
    last = {source: i for i, stage in enumerate(stages) for source in stage.sources}
    end = [0, 0]
    taken: list[tuple[int, int, int, bool]] = []  # start, end, last stage that reads it, of scores
    for i, stage in enumerate(stages):
        size = stage.heads if stage.is_scores else -(-stage.channels // BLOCK) * BLOCK
        taken = [one for one in taken if one[2] >= i]
        start = 0
        for begin, finish, _, scores in sorted(taken):
            if scores == stage.is_scores and begin < start + size and start < finish:
                start = finish
        taken.append((start, start + size, last.get(stage.name, i), stage.is_scores))
        records[i]["slot"], records[i]["kept_slot"] = start, end[stage.is_scores]
        end[stage.is_scores] += size
