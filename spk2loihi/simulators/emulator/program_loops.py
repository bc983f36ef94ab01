"""A whole network in one compiled call: the loops of `count_program`.

Stages run one after another, in blocks of rows whose drives stay in a second-level cache. Nothing is allocated but what
leaves.
"""

from __future__ import annotations

import numpy as np

from spk2loihi.compiled import Bytes, Floats, Integers, compiled
from spk2loihi.simulators.emulator.attention_loops import context, scores
from spk2loihi.simulators.emulator.byte_products import spread_axons
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, LANES, VECTORS, multiply
from spk2loihi.simulators.emulator.event_sums import tally, tally_rows
from spk2loihi.simulators.emulator.program_arrays import (
    EMBEDDING,
    LAYER_NORM,
    LINEAR,
    MESSAGES,
    READOUT,
    SCORES,
    SPIKES,
    Program,
    Record,
    Result,
    Sentences,
    Work,
)
from spk2loihi.simulators.emulator.program_firing import fire_columns
from spk2loihi.simulators.emulator.soma_kernels import add_skip

TOGETHER = 96
"""Rows of a block."""
TILE = VECTORS * LANES
"""Columns of a tile."""


@compiled
def run_program(
    program: Program, sentences: Sentences, work: Work, result: Result, kept: bool, graded: bool
) -> None:
    """Counts are left in ``work`` if ``kept``; else later stages take the place of those that nobody needs any more."""
    for index in range(len(program.stages)):
        kind = program.stages[index].kind
        if kind == EMBEDDING:
            _embedding(program, index, sentences, work, result, kept)
        elif kind == LINEAR or kind == READOUT:
            _linear(program, index, sentences, work, result, kept)
        elif kind == SCORES:
            scores(program, index, sentences, work, result, kept, graded)
        else:
            context(program, index, sentences, work, result, kept)
        if kind != SCORES and kind != READOUT:
            _count_events(program, index, sentences, work, result, kept, graded)


@compiled
def _embedding(program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool) -> None:
    d = program.word.shape[1]
    out = _population(program.stages[index], sentences, work, kept)
    u = work.drive[: TOGETHER * d].reshape(TOGETHER, d)
    row, start = 0, 0  # of a block
    for sentence in range(len(sentences.starts) - 1):
        for token in range(sentences.starts[sentence], sentences.starts[sentence + 1]):
            word, kind = program.word[sentences.ids[token]], program.token_type[sentences.types[token]]
            position, drive = program.position[token - sentences.starts[sentence]], u[row]
            for c in range(d):
                drive[c] = word[c] + position[c] + kind[c]
            row += 1
            if row == TOGETHER or token == len(sentences.ids) - 1:
                block = work.drive[: row * d].reshape(row, d)
                counts = out[start * d : (start + row) * d].reshape(row, d)
                fire_columns(program, program.stages[index], block, 0, counts, result.totals[index])
                start += row
                row = 0


@compiled
def _linear(program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool) -> None:
    stage = program.stages[index]
    d, totals = stage.width, result.totals[index]
    rows = len(sentences.starts) - 1 if stage.first else len(sentences.ids)
    by_tile = stage.groups == 1 and stage.skips == 0 and stage.kind == LINEAR and stage.firing != LAYER_NORM
    out = _population(stage, sentences, work, kept) if stage.kind == LINEAR else work.counts
    for start in range(0, rows, TOGETHER):
        many = min(TOGETHER, rows - start)
        if by_tile:
            group = program.groups[stage.first_group]
            left, left_at, apart = _left(program, stage, group, start, many, sentences, work, kept)
            for column in range(0, d, TILE):
                width = min(TILE, d - column)
                _multiply_tile(program, group, left, left_at, apart, many, column, work.drive, 0, TILE)
                u = work.drive[: many * TILE].reshape(many, TILE)
                fired = work.fired[: many * width].reshape(many, width)
                fire_columns(program, stage, u, column, fired, totals)
                for row in range(many):
                    at = (start + row) * d + column
                    out[at : at + width] = fired[row]
            continue
        _drive(program, stage, start, many, sentences, work, kept)
        u = work.drive[: many * d].reshape(many, d)
        if stage.kind == READOUT:
            result.logits[start : start + many] = u
        else:
            counts = out[start * d : (start + many) * d].reshape(many, d)
            fire_columns(program, stage, u, 0, counts, totals)


@compiled
def _drive(
    program: Program, stage: Record, start: int, many: int, sentences: Sentences, work: Work, kept: bool
) -> None:
    """U of some rows, all columns, to ``work.drive``."""
    d = stage.width
    u = work.drive[: many * d].reshape(many, d)
    if stage.groups == 0:
        u[:] = program.floats[stage.start : stage.start + d]
    for g in range(stage.groups):
        group = program.groups[stage.first_group + g]
        left, left_at, apart = _left(program, stage, group, start, many, sentences, work, kept)
        target = 0 if g == 0 else len(work.drive) // 2
        # The last tile first: what it writes beyond a row, the first tile of the next row overwrites.
        for column in range((d - 1) // TILE * TILE, -1, -TILE):
            _multiply_tile(program, group, left, left_at, apart, many, column, work.drive, target + column, d)
        if g:
            u += work.drive[target : target + many * d].reshape(many, d)
    for s in range(stage.skips):
        skip = program.skips[stage.first_skip + s]
        m = _rows_of(program, stage, skip.source, start, many, sentences, work, kept)
        add_skip(u, m, program.floats[skip.weight : skip.weight + d])


@compiled
def _multiply_tile(
    program: Program,
    group: Record,
    left: Bytes,
    left_at: int,
    apart: int,
    many: int,
    column: int,
    out: Floats,
    out_at: int,
    out_apart: int,
) -> None:
    blocks = group.axons // DEPTH
    multiply(
        left, left_at, apart, many, program.weights, group.weight + column * group.axons, VECTORS * BLOCK, blocks,
        VECTORS, program.biases, group.bias + column, out, out_at, out_apart,
    )  # fmt: skip


@compiled
def _left(
    program: Program,
    stage: Record,
    group: Record,
    start: int,
    many: int,
    sentences: Sentences,
    work: Work,
    kept: bool,
) -> tuple[Bytes, int, int]:
    """The left operand of some rows: the array, where it starts, how far rows are apart."""
    m = _rows_of(program, stage, group.source, start, many, sentences, work, kept)
    d = m.shape[1]
    if group.plain:
        return m.reshape(many * d), 0, d
    factor, offset = program.bytes[group.factor : group.factor + d], program.bytes[group.factor + d :]
    repeated = program.whole[group.repeated : group.repeated + group.repeats]
    spread_axons(m, factor, offset, repeated, work.left[: many * group.axons].reshape(many, group.axons))
    return work.left, 0, group.axons


@compiled
def _rows_of(
    program: Program, stage: Record, name: int, start: int, many: int, sentences: Sentences, work: Work, kept: bool
) -> Bytes:
    """Counts of a source at some of the stage's rows, (many, d)."""
    source = program.stages[name]
    d, m = source.width, _population(source, sentences, work, kept)
    if stage.first and not source.first:
        gathered = work.gathered[: many * d]
        for row in range(many):
            at = sentences.starts[start + row] * d
            gathered[row * d : (row + 1) * d] = m[at : at + d]
        return gathered.reshape(many, d)
    return m[start * d : (start + many) * d].reshape(many, d)


@compiled
def _population(stage: Record, sentences: Sentences, work: Work, kept: bool) -> Bytes:
    """Where its counts lie, flat."""
    tokens = len(sentences.ids)
    at = (stage.kept_slot if kept else stage.slot) * tokens
    return work.counts[at : at + tokens * stage.width]


@compiled
def _count_events(
    program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool, graded: bool
) -> None:
    stage = program.stages[index]
    d, starts = stage.width, sentences.each if stage.first else sentences.starts
    rows = starts[-1]
    counts = _population(stage, sentences, work, kept)
    m = counts[: rows * d].reshape(rows, d)
    channels = result.channels[stage.channels : stage.channels + d]
    tally(m, stage.zero, program.most, graded, channels)
    result.totals[index, MESSAGES] = channels.sum()
    if graded:
        whole = np.zeros(1, np.int64)
        tally_rows(m, stage.zero, False, np.array([0, rows]), whole)
        result.totals[index, SPIKES] = whole[0]
    else:
        result.totals[index, SPIKES] = result.totals[index, MESSAGES]
    if stage.attended:
        tally_rows(m, stage.zero, graded, starts, result.sentences[index])
    if stage.first_used:
        firsts = result.firsts[stage.channels : stage.channels + d]
        _count_first(
            counts, d, starts, stage.zero, program.most, graded, sentences.each, firsts, result.first[index]
        )


@compiled
def _count_first(
    counts: Bytes,
    d: int,
    starts: Integers,
    zero: int,
    most: int,
    graded: bool,
    each: Integers,
    channels: Integers,
    sums: Integers,
) -> None:
    for sentence in range(len(sums)):
        at = starts[sentence] * d
        row = counts[at : at + d].reshape(1, d)
        tally(row, zero, most, graded, channels)
        tally_rows(row, zero, graded, each[:2], sums[sentence : sentence + 1])
