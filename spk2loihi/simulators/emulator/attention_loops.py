"""Attention inside the compiled call of a network: products of bytes, sentence by sentence and head by head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spk2loihi.compiled import Bytes, Floats, inlined
from spk2loihi.simulators.emulator.attention_firing import exact_softmax, fire_affine_head
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, multiply
from spk2loihi.simulators.emulator.payload_firing import fire_payload_pairs
from spk2loihi.simulators.emulator.program_arrays import (
    DRIVES,
    MESSAGES,
    PAYLOAD,
    PRODUCTS,
    SOFTMAX,
    SPIKES,
    Program,
    Record,
    Result,
    Sentences,
    Words,
    Work,
)
from spk2loihi.simulators.emulator.program_firing import fire_plain
from spk2loihi.simulators.emulator.query_vectors import pack_queries, softmax_of_queries
from spk2loihi.simulators.emulator.vector_code import LANES


@inlined
def scores(
    program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool, graded: bool,
    first: int, end: int,
) -> None:  # fmt: skip
    """Counts of the heads from ``first`` to ``end`` to ``work.scores``, in the order of `Work`."""
    stage = program.stages[index]
    left, right = program.stages[stage.left], program.stages[stage.right]
    width, totals = right.width // stage.heads, result.totals[index]
    start = _scores_at(stage, sentences, work, kept)
    for b in range(len(sentences.starts) - 1):
        keys = sentences.starts[b + 1] - sentences.starts[b]
        rows = 1 if stage.first else keys
        vectors, fours = -(-rows // LANES), -(-keys // DEPTH)
        lanes = vectors * LANES
        left_at, right_at = _sentence_at(left, b, sentences, kept), _sentence_at(right, b, sentences, kept)
        u = work.drive[: keys * lanes].reshape(keys, lanes)
        spikes, sent = np.int64(0), np.int64(0)
        for h in range(first, end):
            at = start + h * fours * lanes
            for i in range(0, lanes, LANES):
                pack_queries(
                    work.counts, left_at + h * width + i * left.width, left.width, rows - i, left.zero, width // DEPTH,
                    -right.zero, work.right_words, i, lanes, work.sums, i,
                )  # fmt: skip
            multiply(
                work.counts, right_at + h * width, right.width, DEPTH, keys, work.right, 0, vectors * BLOCK,
                width // DEPTH, vectors, work.sums, 0, work.drive, 0, lanes,
            )  # fmt: skip
            if stage.firing == SOFTMAX:
                more, messages = _softmax(program, stage, work, keys, rows, at)
            else:
                if stage.firing == PAYLOAD:
                    half, weight = program.whole[stage.whole_at + h], program.whole[stage.whole_at + stage.heads + h]
                    more, messages = fire_payload_pairs(
                        u, keys, rows, half, weight, stage.shift, stage.relu != 0, stage.limit, stage.chip != 0,
                        totals[DRIVES:PRODUCTS],
                    )  # fmt: skip
                    totals[PRODUCTS] += _pairs_by_channel(
                        work.counts, left_at + h * width, left.width, left.zero, rows, right_at + h * width,
                        right.width, right.zero, keys, width,
                    )  # fmt: skip
                else:
                    scale, offset = program.doubles[stage.at + h], program.doubles[stage.also_at + h]
                    more, messages = fire_affine_head(u, keys, rows, scale, offset, program.most)
                _pack_scores(u, work.scores[at * DEPTH : (at + fours * lanes) * DEPTH].reshape(fours, lanes, DEPTH))
            spikes += more
            sent += messages
        start += stage.heads * fours * lanes
        result.sentences[index, b] += sent if graded else spikes
        totals[SPIKES] += spikes
        totals[MESSAGES] += sent if graded else spikes


@inlined
def context(
    program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool, first: int, end: int
) -> None:
    """Counts of the heads from ``first`` to ``end`` to ``work.counts``."""
    stage = program.stages[index]
    left, right = program.stages[stage.left], program.stages[stage.right]
    width, totals = right.width // stage.heads, result.totals[index]
    vectors = -(-width // LANES)
    for c in range(vectors * LANES):
        work.sums[c] = 0
    start = _scores_at(left, sentences, work, kept)
    for b in range(len(sentences.starts) - 1):
        keys = sentences.starts[b + 1] - sentences.starts[b]
        rows, fours = 1 if stage.first else keys, -(-keys // DEPTH)
        lanes = -(-rows // LANES) * LANES
        right_at, out_at = _sentence_at(right, b, sentences, kept), _sentence_at(stage, b, sentences, kept)
        u = work.drive[: rows * vectors * LANES].reshape(rows, vectors * LANES)
        out = work.counts[out_at : out_at + rows * stage.width].reshape(rows, stage.width)
        for h in range(first, end):
            at = (start + h * fours * lanes) * DEPTH
            _pack_values(
                work.counts, right_at + h * width, right.width, right.zero, keys, width, vectors, work.right_words
            )
            multiply(
                work.scores, at, DEPTH, lanes * DEPTH, rows, work.right, 0, vectors * BLOCK, fours, vectors, work.sums,
                0, work.drive, 0, vectors * LANES,
            )  # fmt: skip
            if stage.firing == PAYLOAD:
                totals[PRODUCTS] += _pairs_by_key(
                    work.scores[at : at + fours * lanes * DEPTH].reshape(fours, lanes, DEPTH), rows, work.counts,
                    right_at + h * width, right.width, right.zero, keys, width,
                )  # fmt: skip
            fire_plain(program, stage, u, out, h * width, width, totals)
        start += stage.heads * fours * lanes


@inlined
def _softmax(program: Program, stage: Record, work: Work, keys: int, rows: int, at: int) -> tuple[np.int64, np.int64]:
    """Counts of one head to ``work.score_words``, from ``at`` on; spikes and messages."""
    lanes = -(-rows // LANES) * LANES
    spikes, sent = np.int64(0), np.int64(0)
    for i in range(0, lanes, LANES):
        in_doubt, more, messages = softmax_of_queries(
            work.drive, i, lanes, keys, rows - i, stage.unit, stage.last, stage.scale, stage.offset, stage.doubt,
            float(program.most), work.exponential, work.score_words, at + i, lanes,
        )  # fmt: skip
        spikes += more
        sent += messages
        if in_doubt:
            multipliers = stage.scale_mantissa, stage.scale_shift, stage.gain_mantissa, stage.gain_shift
            z, n = work.score[:keys], work.exponential[:keys]
            for lane in range(min(LANES, rows - i)):
                if (in_doubt >> lane) & 1:
                    for j in range(keys):
                        z[j] = np.int32(work.drive[j * lanes + i + lane])
                    exact_softmax(z, multipliers, stage.threshold, program.most, n)
                    for j in range(keys):
                        place = (at + (j // DEPTH) * lanes + i + lane) * DEPTH + j % DEPTH
                        before, now = np.int64(work.scores[place]), np.int64(n[j])
                        spikes += now - before
                        sent += np.int64(now > 0) - np.int64(before > 0)
                        work.scores[place] = np.uint8(now)
    return spikes, sent


@inlined
def _pack_scores(u: Floats, packed: NDArray[np.uint8]) -> None:
    """Counts (keys, lanes) to bytes (fours of keys, lanes, 4), 0 where there is no key."""
    keys, lanes = u.shape
    packed[len(packed) - 1] = 0
    for j in range(keys):
        for i in range(lanes):
            packed[j // DEPTH, i, j % DEPTH] = np.uint8(np.int32(u[j, i]))


@inlined
def _scores_at(stage: Record, sentences: Sentences, work: Work, kept: bool) -> int:
    """Where the scores of a stage start, in words."""
    size = np.int64(0)
    for b in range(len(sentences.starts) - 1):
        keys = sentences.starts[b + 1] - sentences.starts[b]
        size += -(-keys // LANES) * LANES * -(-keys // DEPTH)
    return (stage.kept_slot if kept else stage.slot) * size


@inlined
def _sentence_at(stage: Record, b: int, sentences: Sentences, kept: bool) -> int:
    """Where the counts of a sentence start."""
    row = b if stage.first else sentences.starts[b]
    return (stage.kept_slot if kept else stage.slot) * len(sentences.ids) + row * stage.width


@inlined
def _pack_values(
    counts: Bytes, at: int, apart: int, zero: int, keys: int, width: int, vectors: int, packed: Words
) -> None:
    """Counts of values (keys, width). The last row fills up to a multiple of four: scores there are 0."""
    middle = np.uint8(zero)
    for k in range(-(-keys // DEPTH)):
        first, second, third, fourth = (
            _row(counts, at, apart, min(k * DEPTH, keys - 1), width),
            _row(counts, at, apart, min(k * DEPTH + 1, keys - 1), width),
            _row(counts, at, apart, min(k * DEPTH + 2, keys - 1), width),
            _row(counts, at, apart, min(k * DEPTH + 3, keys - 1), width),
        )
        target = packed[k * vectors * LANES : k * vectors * LANES + width]
        for c in range(width):
            low = np.uint32(np.uint8(first[c] - middle)) | np.uint32(np.uint32(np.uint8(second[c] - middle)) << 8)
            high = np.uint32(np.uint8(third[c] - middle)) | np.uint32(np.uint32(np.uint8(fourth[c] - middle)) << 8)
            target[c] = low | np.uint32(high << 16)


@inlined
def _row(counts: Bytes, at: int, apart: int, row: int, width: int) -> Bytes:
    return counts[at + row * apart : at + row * apart + width]


@inlined
def _pairs_by_channel(
    counts: Bytes, left_at: int, left_apart: int, left_zero: int, rows: int, right_at: int, right_apart: int,
    right_zero: int, keys: int, width: int,
) -> np.int64:  # fmt: skip
    """Products of a query's and a key's payload that are both not 0, of all pairs of one head."""
    pairs = np.int64(0)
    for c in range(width):
        of_left, of_right = np.int64(0), np.int64(0)
        for i in range(rows):
            of_left += counts[left_at + i * left_apart + c] != left_zero
        for j in range(keys):
            of_right += counts[right_at + j * right_apart + c] != right_zero
        pairs += of_left * of_right
    return pairs


@inlined
def _pairs_by_key(
    scores: NDArray[np.uint8], rows: int, counts: Bytes, right_at: int, right_apart: int, right_zero: int, keys: int,
    width: int,
) -> np.int64:  # fmt: skip
    """Products of a score's and a value's payload that are both not 0, of all pairs of one head."""
    pairs = np.int64(0)
    for j in range(keys):
        of_left, of_right = np.int64(0), np.int64(0)
        for i in range(rows):
            of_left += scores[j // DEPTH, i, j % DEPTH] != 0
        for c in range(width):
            of_right += counts[right_at + j * right_apart + c] != right_zero
        pairs += of_left * of_right
    return pairs
