"""Attention inside the compiled call of a network: products of bytes, sentence by sentence and head by head."""

from __future__ import annotations

import numpy as np

from spk2loihi.compiled import Bytes, inlined
from spk2loihi.simulators.emulator.attention_firing import fire_affine_head, fire_softmax_head
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, LANES, Sums, multiply
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
        vectors, filled = -(-keys // LANES), -(-keys // DEPTH) * DEPTH
        left_at, right_at = _sentence_at(left, b, sentences, kept), _sentence_at(right, b, sentences, kept)
        u = work.drive[: rows * vectors * LANES].reshape(rows, vectors * LANES)
        spikes, sent = np.int64(0), np.int64(0)
        for h in range(first, end):
            at = start + h * rows * filled
            _pack_keys(
                work.count_words, work.counts, right_at + h * width, right.width, right.zero, keys, width // DEPTH,
                vectors, left.zero, work.right_words, work.sums,
            )  # fmt: skip
            multiply(
                work.counts, left_at + h * width, left.width, rows, work.right, 0, vectors * BLOCK, width // DEPTH,
                vectors, work.sums, 0, work.drive, 0, vectors * LANES,
            )  # fmt: skip
            if stage.firing == SOFTMAX:
                _, more, messages = fire_softmax_head(
                    u, rows, keys, program.floats[stage.at : stage.at + stage.also_at], stage.scale, stage.offset,
                    stage.doubt, (stage.scale_mantissa, stage.scale_shift, stage.gain_mantissa, stage.gain_shift),
                    stage.threshold, program.most, work.score, work.exponential,
                )  # fmt: skip
            elif stage.firing == PAYLOAD:
                half, weight = program.whole[stage.whole_at + h], program.whole[stage.whole_at + stage.heads + h]
                more, messages = fire_payload_pairs(
                    u, rows, keys, half, weight, stage.shift, stage.relu != 0, stage.limit, stage.chip != 0,
                    totals[DRIVES:PRODUCTS],
                )  # fmt: skip
                totals[PRODUCTS] += _pairs_by_channel(
                    work.counts, left_at + h * width, left.width, left.zero, rows, right_at + h * width, right.width,
                    right.zero, keys, width,
                )  # fmt: skip
            else:
                scale, offset = program.doubles[stage.at + h], program.doubles[stage.also_at + h]
                more, messages = fire_affine_head(u, rows, keys, scale, offset, program.most)
            spikes += more
            sent += messages
            for i in range(rows):
                source, target = u[i], work.scores[at : at + filled]
                for j in range(filled):
                    target[j] = np.uint8(np.int32(source[j]))
                at += filled
        start += stage.heads * rows * filled
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
        rows, filled = 1 if stage.first else keys, -(-keys // DEPTH) * DEPTH
        right_at, out_at = _sentence_at(right, b, sentences, kept), _sentence_at(stage, b, sentences, kept)
        u = work.drive[: rows * vectors * LANES].reshape(rows, vectors * LANES)
        out = work.counts[out_at : out_at + rows * stage.width].reshape(rows, stage.width)
        for h in range(first, end):
            at = start + h * rows * filled
            _pack_values(
                work.counts, right_at + h * width, right.width, right.zero, keys, width, vectors, work.right_words
            )
            multiply(
                work.scores, at, filled, rows, work.right, 0, vectors * BLOCK, filled // DEPTH, vectors, work.sums, 0,
                work.drive, 0, vectors * LANES,
            )  # fmt: skip
            if stage.firing == PAYLOAD:
                totals[PRODUCTS] += _pairs_by_key(
                    work.scores, at, filled, rows, work.counts, right_at + h * width, right.width, right.zero, keys,
                    width,
                )  # fmt: skip
            fire_plain(program, stage, u, out, h * width, width, totals)
        start += stage.heads * rows * filled


@inlined
def _scores_at(stage: Record, sentences: Sentences, work: Work, kept: bool) -> int:
    """Where the scores of a stage start."""
    size = np.int64(0)
    for b in range(len(sentences.starts) - 1):
        keys = sentences.starts[b + 1] - sentences.starts[b]
        size += keys * (-(-keys // DEPTH) * DEPTH)
    return (stage.kept_slot if kept else stage.slot) * size


@inlined
def _sentence_at(stage: Record, b: int, sentences: Sentences, kept: bool) -> int:
    """Where the counts of a sentence start."""
    row = b if stage.first else sentences.starts[b]
    return (stage.kept_slot if kept else stage.slot) * len(sentences.ids) + row * stage.width


@inlined
def _pack_keys(
    words: Words, counts: Bytes, at: int, apart: int, zero: int, keys: int, blocks: int, vectors: int, left_zero: int,
    packed: Words, sums: Sums,
) -> None:  # fmt: skip
    """Counts of keys (keys, 4 blocks), transposed; and what takes the left bytes' zero off the product.

    Four bytes at a time: ``zero`` is taken off each without a borrow from the next.
    """
    tops = np.uint32(0x80808080)
    zeros = np.uint32(zero * 0x01010101)
    less, signs = np.uint32(zeros & ~tops), np.uint32(~zeros)
    for j in range(keys):
        row = (at + j * apart) // DEPTH
        for k in range(blocks):
            x = words[row + k]
            packed[k * vectors * LANES + j] = np.uint32((x | tops) - less) ^ np.uint32((x ^ signs) & tops)
        total = np.int32(0)
        if left_zero:
            start = at + j * apart
            for x in counts[start : start + blocks * DEPTH]:
                total += np.int32(x)
            total -= np.int32(zero * blocks * DEPTH)
        sums[j] = -total * np.int32(left_zero)


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
    scores: Bytes, at: int, filled: int, rows: int, counts: Bytes, right_at: int, right_apart: int, right_zero: int,
    keys: int, width: int,
) -> np.int64:  # fmt: skip
    """Products of a score's and a value's payload that are both not 0, of all pairs of one head."""
    pairs = np.int64(0)
    for j in range(keys):
        of_left, of_right = np.int64(0), np.int64(0)
        for i in range(rows):
            of_left += scores[at + i * filled + j] != 0
        for c in range(width):
            of_right += counts[right_at + j * right_apart + c] != right_zero
        pairs += of_left * of_right
    return pairs
