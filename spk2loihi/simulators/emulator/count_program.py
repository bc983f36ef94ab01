"""A network as one compiled call, its numbers laid out once (`program_layout`).

Where the processor has VNNI instructions and every count fits a byte, `CountProgram` takes the place of the stages of
`count_engine`, which need a dozen calls each: what a sentence alone costs is then its arithmetic, not its calls.
"""

from __future__ import annotations

import time
from functools import partial
from threading import local
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.compiled import Floats, Integers
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage
from spk2loihi.simulators.backend import stacked
from spk2loihi.simulators.counters import Counts, EventSums, StreamMessages
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, has_vnni
from spk2loihi.simulators.emulator.counted import Counted
from spk2loihi.simulators.emulator.helpers import helpers
from spk2loihi.simulators.emulator.program_arrays import (
    DRIVES,
    MESSAGES,
    SCORES,
    SPIKES,
    Program,
    Result,
    Sentences,
    Work,
    whole_depths,
)
from spk2loihi.simulators.emulator.program_layout import lay_out
from spk2loihi.simulators.emulator.program_loops import TILE, TOGETHER, run_program
from spk2loihi.simulators.emulator.vector_code import LANES


class CountProgram:
    """Runs batches of one network; see `compile_network`."""

    def __init__(self, network: Network, program: Program) -> None:
        self._network, self.arrays = network, program
        self._firing = [_Firing(i, stage, program.stages[i]) for i, stage in enumerate(network.stages) if stage.fires]
        self._channels = int(program.stages["channels"].max() + program.stages["width"].max())
        self._widths = _Widths.of(program)
        self._readout = network.readout
        self._memory = local()  # of each thread, so that parts of a batch run at the same time

    def run(self, batch: TokenBatch, keep: bool, graded: bool, threads: int = 1) -> Counted:
        """Counts are returned if ``keep``. Up to ``threads`` threads share every stage, if it has rows enough."""
        return self.counted([self.part(batch, keep, graded, threads)])

    def part(self, batch: TokenBatch, keep: bool, graded: bool, threads: int) -> Part:
        """Some sentences of a batch, as `run`."""
        mask = batch.mask
        sentences = _sentences(batch, mask)
        shares = max(1, min(threads, len(sentences.ids) // _LEAST_ROWS))
        sizes = self._widths.sizes(batch.lengths.astype(np.int64), keep)
        work = _work(self._memory.__dict__, sizes)
        results = [self._result(sentences)]  # of each thread
        results += [self._result(sentences, results[0].logits) for _ in range(shares - 1)]
        others = helpers()
        rest = keep, graded, shares, np.zeros(2 * len(self.arrays.stages) + 2, np.int64), others.begun
        try:
            for one in results[1:]:
                others.submit(partial(self._help, sizes, work, sentences, one, rest))
            _until_done(self.arrays, sentences, work, results[0], rest, False)
        except BaseException:
            self._memory = local()  # a helper may still write to what there was
            raise
        result = results[0]
        for one in results[1:]:
            for total, more in zip(result[:-1], one[:-1], strict=True):
                total += more
        counts = {one.name: self._padded(one, mask, work) for one in self._firing} if keep else {}
        logits = result.logits.astype(np.int64)
        if self._readout.tokens == "all":
            rows, logits = logits, np.zeros((*mask.shape, logits.shape[1]), np.int64)
            logits[mask] = rows
        return Part(logits, result, counts)

    def counted(self, parts: list[Part]) -> Counted:
        """Of all sentences, one part after another. Counts are those of a part that comes alone."""
        result = parts[0].result
        if len(parts) > 1:
            results = [part.result for part in parts]
            result = Result(
                np.sum([one.channels for one in results], axis=0),
                np.sum([one.firsts for one in results], axis=0),
                np.hstack([one.sentences for one in results]),
                np.hstack([one.first for one in results]),
                np.sum([one.totals for one in results], axis=0),
                result.logits,
            )
        totals = result.totals.tolist()
        sums = {one.name: _sums(one, totals[one.index], result) for one in self._firing}
        return Counted(stacked([part.logits for part in parts]), sums, parts[0].counts)

    def _help(self, sizes: dict[str, int], work: Work, sentences: Sentences, result: Result, rest: _Rest) -> None:
        """What a thread does in the run of another."""
        own = _work(self._memory.__dict__, {name: size for name, size in sizes.items() if name not in _SHARED})
        shared = own._replace(**{name: getattr(work, name) for name in _SHARED})
        _until_done(self.arrays, sentences, shared, result, rest, True)

    def _result(self, sentences: Sentences, logits: Floats | None = None) -> Result:
        stages, b = len(self.arrays.stages), len(sentences.each) - 1
        if logits is None:
            rows = len(sentences.ids) if self._readout.tokens == "all" else b
            logits = np.empty((rows, self._readout.channels), np.float32)
        shapes = (self._channels,), (self._channels,), (stages, b), (stages, b), (stages, 5)
        return Result._make([*(np.zeros(shape, np.int64) for shape in shapes), logits])

    def _padded(self, firing: _Firing, mask: NDArray[np.bool_], work: Work) -> NDArray[np.int16]:
        """Counts as `Run` has them, (B, L, d) or (B, H, L, L)."""
        stage, record, lengths = firing.stage, self.arrays.stages[firing.index], mask.sum(1)
        b, longest = mask.shape
        if stage.is_scores:
            at = int(record["kept_slot"]) * int(_score_bytes(lengths).sum())
            full = np.zeros((b, stage.heads, 1 if stage.tokens == "first" else longest, longest), np.int16)
            for one, keys in zip(full, lengths.tolist(), strict=True):
                rows, filled = 1 if stage.tokens == "first" else keys, int(whole_depths(keys))
                lanes = -(-rows // LANES) * LANES
                m = work.scores[at : at + stage.heads * lanes * filled].reshape(stage.heads, -1, lanes, DEPTH)
                one[:, :rows, :keys] = m.swapaxes(1, 2).reshape(stage.heads, lanes, filled)[:, :rows, :keys]
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


class Part(NamedTuple):
    """What a program makes of some sentences.

    Attributes:
        logits, counts: as `Counted` has them.
        result: its logits, of rows that exist, are not needed any more.
    """

    logits: NDArray[np.int64]
    result: Result
    counts: Counts


class _Widths(NamedTuple):
    """What the memory of a run depends on, beside its sentences.

    Attributes:
        counts, scores: bytes a token, and heads, of all populations together: if they take turns, and if they are kept.
        widest, axons: the most neurons a token, and the most axons of a group.
    """

    counts: list[int]
    scores: list[int]
    widest: int
    axons: int

    @classmethod
    def of(cls, program: Program) -> _Widths:
        stages, is_scores = program.stages, program.stages["kind"] == SCORES
        ends = [stages[slot] + np.where(is_scores, stages["heads"], stages["width"]) for slot in ("slot", "kept_slot")]
        counts, scores = ([int(end[of].max(initial=0)) for end in ends] for of in (~is_scores, is_scores))
        return cls(counts, scores, int(stages["width"].max()), int(program.groups["axons"].max(initial=0)))

    def sizes(self, lengths: Integers, keep: bool) -> dict[str, int]:
        """Of the arrays of a `Work`, by name."""
        longest = int(lengths.max())
        vectors = -(-max(longest, self.widest) // LANES)
        return {
            "counts": self.counts[keep] * int(lengths.sum()),
            "scores": self.scores[keep] * int(_score_bytes(lengths).sum()),
            "drive": max(2 * (TOGETHER * max(self.widest, TILE) + TILE), longest * (vectors + 1) * LANES),
            "left": TOGETHER * self.axons,
            "gathered": TOGETHER * self.widest,
            "right": (longest + self.widest + DEPTH) * vectors * BLOCK,
            "sums": vectors * LANES,
            "score": longest,
            "exponential": (longest + DEPTH) * LANES,
        }


def _work(have: dict[str, NDArray[Any]], sizes: dict[str, int]) -> Work:
    """Memory of at least these sizes, in ``have`` from then on; nothing of what has no size."""
    for name, size in sizes.items():
        if name not in have or len(have[name]) < size:
            have[name] = np.zeros(size + -size % DEPTH, _TYPES.get(name, np.uint8))  # taken as words, too
    none = np.zeros(0, np.uint8)
    arrays: dict[str, Any] = {name: have[name] if name in sizes else none for name in Work._fields[:-2]}
    return Work(**arrays, score_words=arrays["scores"].view(np.uint32), right_words=arrays["right"].view(np.uint32))


def _until_done(program: Program, sentences: Sentences, work: Work, result: Result, rest: _Rest, helping: bool) -> None:
    """``rest``: the arguments of `run_program` that follow, but for the last two."""
    index, end = 0, len(program.stages)
    while (index := run_program(program, sentences, work, result, *rest, helping, index)) <= end:
        time.sleep(0)  # another thread may need this processor to get on


_Rest = tuple[bool, bool, int, Integers, Integers]

_LEAST_ROWS = 12  # of a share
_SHARED = ("counts", "scores", "score_words")  # memory that the threads of a run share
_NOTHING_INSIDE = StreamMessages()
_TYPES = {"drive": np.float32, "right": np.int8, "sums": np.int32, "score": np.int32, "exponential": np.float32}


def _score_bytes(lengths: Integers) -> Integers:
    """Of one head's counts, a sentence each."""
    return -(-lengths // LANES) * LANES * whole_depths(lengths)


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


def _sums(stage: _Firing, totals: list[int], result: Result) -> EventSums:
    """``totals``: of the stage, as `Result` has them."""
    index = stage.index
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


def compile_network(network: Network, arithmetic: Arithmetic) -> CountProgram | None:
    """The network's program; None where the processor, or a stage, is none that its loops know."""
    program = lay_out(network, arithmetic) if has_vnni() else None
    return None if program is None else CountProgram(network, program)
