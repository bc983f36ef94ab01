"""A network as one compiled call: everything that is known before the first sentence, laid out once.

Where the processor has VNNI instructions and every count fits a byte, `CountProgram` takes the place of the stages of
`count_engine`, which need a dozen calls each: what a sentence alone costs is then its arithmetic, not its calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage, SynapseGroup
from spk2loihi.simulators.counters import EventSums, StreamMessages
from spk2loihi.simulators.emulator.attention_firing import AffineScoreFire, SoftmaxFire, score_fire
from spk2loihi.simulators.emulator.byte_products import fires_exactly, pack
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, LANES, has_vnni, pack_weight
from spk2loihi.simulators.emulator.counted import Counted
from spk2loihi.simulators.emulator.firing import AffineFire, GeluFire, LayerNormFire, fire
from spk2loihi.simulators.emulator.payload_firing import PayloadFire, PayloadScoreFire
from spk2loihi.simulators.emulator.program_arrays import (
    AFFINE,
    CONTEXT,
    DRIVES,
    EMBEDDING,
    GELU,
    GROUP,
    LAYER_NORM,
    LINEAR,
    MESSAGES,
    PAYLOAD,
    READOUT,
    SCORES,
    SHORT_AFFINE,
    SOFTMAX,
    SPIKES,
    STAGE,
    Program,
    Result,
    Sentences,
    Work,
)
from spk2loihi.simulators.emulator.program_loops import TILE, TOGETHER, run_program

_BYTE_MAX = 255


class CountProgram:
    """Runs batches of one network; see `compile_network`."""

    def __init__(self, network: Network, program: Program) -> None:
        self._network, self.arrays = network, program
        self._firing = [_Firing(i, stage, program.stages[i]) for i, stage in enumerate(network.stages) if stage.fires]
        self._channels = int(program.stages["channels"].max() + program.stages["width"].max())
        self._readout = network.readout
        self._memory = local()  # of each thread, so that parts of a batch run at the same time

    def run(self, batch: TokenBatch, keep: bool, graded: bool) -> Counted:
        """Counts are returned if ``keep``."""
        mask, stages = batch.mask, self.arrays.stages
        sentences = _sentences(batch, mask)
        b, tags = len(batch.lengths), self._readout.tokens == "all"
        work = self._work(batch, keep)
        result = Result(
            np.zeros(self._channels, np.int64),
            np.zeros(self._channels, np.int64),
            np.empty((len(stages), b), np.int64),
            np.empty((len(stages), b), np.int64),
            np.zeros((len(stages), 5), np.int64),
            np.empty((len(sentences.ids) if tags else b, self._readout.channels), np.float32),
        )
        run_program(self.arrays, sentences, work, result, keep, graded)
        sums = {one.name: self._sums(one, result) for one in self._firing}
        counts = {one.name: self._padded(one, mask, work) for one in self._firing} if keep else {}
        logits = result.logits.astype(np.int64)
        if tags:
            rows, logits = logits, np.zeros((*mask.shape, logits.shape[1]), np.int64)
            logits[mask] = rows
        return Counted(logits, sums, counts)

    def _sums(self, stage: _Firing, result: Result) -> EventSums:
        index, totals = stage.index, result.totals[stage.index].tolist()
        inside = StreamMessages(*totals[DRIVES:]) if stage.streamed else _NOTHING_INSIDE
        if stage.channels is None:
            return EventSums(totals[SPIKES], totals[MESSAGES], sentences=result.sentences[index], inside=inside)
        return EventSums(
            totals[SPIKES],
            totals[MESSAGES],
            result.channels[stage.channels],
            result.firsts[stage.channels] if stage.first_used else None,
            result.sentences[index] if stage.attended else None,
            result.first[index] if stage.first_used else None,
            inside,
        )

    def _padded(self, firing: _Firing, mask: NDArray[np.bool_], work: Work) -> NDArray[np.int16]:
        """Counts as `Run` has them, (B, L, d) or (B, H, L, L)."""
        stage, record, lengths = firing.stage, self.arrays.stages[firing.index], mask.sum(1)
        b, longest = mask.shape
        if stage.is_scores:
            size = int((lengths * _filled(lengths)).sum())
            at = int(record["kept_slot"]) * size
            full = np.zeros((b, stage.heads, 1 if stage.tokens == "first" else longest, longest), np.int16)
            for one, keys in zip(full, lengths.tolist(), strict=True):
                rows, filled = 1 if stage.tokens == "first" else keys, int(_filled(keys))
                m = work.scores[at : at + stage.heads * rows * filled].reshape(stage.heads, rows, filled)
                one[:, :rows, :keys] = m[:, :, :keys]
                at += m.size
            return full
        rows = b if stage.tokens == "first" else int(lengths.sum())
        at = int(record["kept_slot"]) * int(lengths.sum())
        n = work.counts[at : at + rows * stage.channels].reshape(rows, -1).astype(np.int16) - np.int16(record["zero"])
        if stage.tokens == "first":
            return n[:, None]
        full = np.zeros((b, longest, stage.channels), np.int16)
        full[mask] = n
        return full

    def _work(self, batch: TokenBatch, keep: bool) -> Work:
        stages, lengths = self.arrays.stages, batch.lengths.astype(np.int64)
        is_scores = stages["kind"] == SCORES
        ends = stages["kept_slot" if keep else "slot"] + np.where(is_scores, stages["heads"], stages["width"])
        longest, width = int(lengths.max()), int(stages["width"].max())
        vectors = -(-max(longest, width) // LANES)
        head_rows = longest * (vectors + 1) * LANES
        axons = int(self.arrays.groups["axons"].max(initial=0))
        sizes = {
            "counts": int(ends[~is_scores].max()) * int(lengths.sum()),
            "scores": int(ends[is_scores].max(initial=0)) * int((lengths * _filled(lengths)).sum()),
            "drive": max(2 * (TOGETHER * max(width, TILE) + TILE), head_rows),
            "left": TOGETHER * axons,
            "gathered": TOGETHER * width,
            "right": (longest + width + DEPTH) * vectors * BLOCK,
            "sums": vectors * LANES,
            "score": vectors * LANES,
            "exponential": vectors * LANES,
        }
        have: dict[str, NDArray[Any]] = self._memory.__dict__
        for name, size in sizes.items():
            if name not in have or len(have[name]) < size:
                have[name] = np.zeros(size + -size % DEPTH, _TYPES.get(name, np.uint8))  # taken as words, too
        words = (have[name].view(np.uint32) for name in ("counts", "right"))
        return Work(*(have[name] for name in sizes), *words)


_NOTHING_INSIDE = StreamMessages()
_TYPES = {"drive": np.float32, "right": np.int8, "sums": np.int32, "score": np.int32, "exponential": np.float32}


def _filled(keys: Any) -> Any:
    """Keys, filled up to a multiple of `DEPTH`."""
    return -(-keys // DEPTH) * DEPTH


def _sentences(batch: TokenBatch, mask: NDArray[np.bool_]) -> Sentences:
    starts = np.zeros(len(batch.lengths) + 1, np.int64)
    np.cumsum(batch.lengths, out=starts[1:])
    ids, types = (x[mask].astype(np.int64) for x in (batch.input_ids, batch.token_type_ids))
    return Sentences(ids, types, np.nonzero(mask)[1], starts, np.arange(len(starts)))


class _Firing:
    """What is read again and again of a stage that fires."""

    def __init__(self, index: int, stage: Stage, record: Any) -> None:
        self.index, self.stage, self.name, self.streamed = index, stage, stage.name, stage.requantise is not None
        start = int(record["channels"])
        self.channels = None if stage.is_scores else slice(start, start + stage.channels)
        self.attended, self.first_used = bool(record["attended"]), bool(record["first_used"])


def compile_network(network: Network, arithmetic: Arithmetic) -> CountProgram | None:
    """The network's program; None where the processor, or a stage, is none that its loops know."""
    if not has_vnni() or any(stage.relative is not None for stage in network.stages):
        return None
    made = _Layout(network, arithmetic).program()
    return None if made is None else CountProgram(network, made)


class _Layout:
    """Puts a network's numbers into the arrays of a `Program`."""

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
                axons = int(_filled(packed_weight.shape[1]))
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
            scale, gain, offset = one.parameters
            return {
                "firing": GELU, "scale": scale, "offset": offset, "doubt": one.doubt, "at": self._floats.add(gain),
                "whole_at": self._whole.add(one.exponent), **_multipliers(one.multipliers),
            }  # fmt: skip
        return None

    def _score_firing(self, stage: Stage) -> dict[str, Any]:
        one = score_fire(stage, self._most, self._network.max_tokens, self._arithmetic)
        if isinstance(one, PayloadScoreFire):
            return self._payload(one.fire, one.start)
        if isinstance(one, SoftmaxFire):
            return {
                "firing": SOFTMAX, "scale": one.spikes, "offset": one.offset, "doubt": one.doubt,
                "at": self._floats.add(one.table), "also_at": len(one.table), **_multipliers(one.multipliers),
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
