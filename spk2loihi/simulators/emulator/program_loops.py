"""A whole network in one compiled call: the loops of `count_program`.

Stages run one after another, in blocks of rows whose drives stay in a second-level cache. Nothing is allocated but what
leaves.
"""

from __future__ import annotations

from spk2loihi.compiled import Bytes, Floats, Integers, compiled, inlined
from spk2loihi.simulators.emulator.attention_loops import context, scores
from spk2loihi.simulators.emulator.byte_products import spread_axons
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, VECTORS, multiply
from spk2loihi.simulators.emulator.event_sums import spikes_of, tally, tally_sentences
from spk2loihi.simulators.emulator.program_arrays import (
    CONTEXT,
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
from spk2loihi.simulators.emulator.program_firing import fire_linear
from spk2loihi.simulators.emulator.shares import all_taken, await_more, look, take
from spk2loihi.simulators.emulator.soma_kernels import add_skip
from spk2loihi.simulators.emulator.vector_code import LANES

TOGETHER = 96
"""Rows of a block."""
TILE = VECTORS * LANES
"""Columns of a tile."""
COLUMNS = 6 * TILE
"""Columns that fire together, where a stage is wider."""


@compiled
def run_program(
    program: Program, sentences: Sentences, work: Work, result: Result, kept: bool, graded: bool, shares: int,
    claims: Integers, begun: Integers, helping: bool, index: int,
) -> int:  # fmt: skip
    """Counts are left in ``work`` if ``kept``; else later stages take the place of those that nobody needs any more.

    Every thread that shares in a run calls this, and takes the next share of a stage as long as there is one; so one
    that comes late, or not at all, leaves its shares to the others.

    Args:
        work: of the thread, but for ``counts`` and ``scores``.
        result: of the thread; the sum of all is the run's. Of ``logits`` there is one.
        shares: of each stage.
        claims: two numbers a stage, and two more, 0 at first: of its shares, how many are taken and how many are done.
        begun: runs that have begun, one number. One who helps stays awake for a moment after the last stage, until
            there is one more.
        helping: the run is another thread's.
        index: stage to begin with.

    Returns:
        The stage that another thread has not finished yet, to be called with again; past all stages and one more, the
        end.
    """
    stages = len(program.stages)
    if index == 0 and not helping:
        take(begun, 0)
    so_far = look(begun, 0)
    while index <= stages:
        share = take(claims, 2 * index)
        while share <= shares:
            if share == shares:  # the events of the stage before, all of which is there by now
                if index:
                    _count_events(program, index - 1, sentences, work, result, kept, graded)
            elif index < stages:
                stage = program.stages[index]
                if stage.kind == SCORES or stage.kind == CONTEXT:  # some heads
                    first, end = stage.heads * share // shares, stage.heads * (share + 1) // shares
                    if stage.kind == SCORES:
                        scores(program, index, sentences, work, result, kept, graded, first, end)
                    else:
                        context(program, index, sentences, work, result, kept, first, end)
                else:  # some rows
                    rows = len(sentences.starts) - 1 if stage.first else len(sentences.ids)
                    first, end = rows * share // shares, rows * (share + 1) // shares
                    _token_wise(program, index, sentences, work, result, kept, first, end)
            take(claims, 2 * index + 1)
            share = take(claims, 2 * index)
        if not all_taken(claims, 2 * index + 1, shares + 1):
            return index
        index += 1
    if helping:
        await_more(begun, so_far)
    return index


@inlined
def _token_wise(
    program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool, begin: int, end: int
) -> None:
    """Rows of an embedding, a stage with linear synapses or a readout.

    A stage that needs no more than one product, and fires by the element, does some columns at a time.
    """
    stage = program.stages[index]
    d, totals = stage.width, result.totals[index]
    population, width = work.counts, d
    if stage.groups == 1 and stage.skips == 0 and stage.kind == LINEAR and stage.firing != LAYER_NORM:
        width = min(d, COLUMNS)
    if stage.kind != READOUT:
        population = _population(stage, sentences, work, kept)
    for start in range(begin, end, TOGETHER):
        many = min(TOGETHER, end - start)
        out = population[start * d : (start + many) * d].reshape(many, d)
        if stage.kind == EMBEDDING:
            _embed(program, sentences, start, work.drive[: many * d].reshape(many, d))
        elif stage.groups == 0:
            for at in range(many * d):
                work.drive[at] = program.floats[stage.start + at % d]
        for g in range(stage.groups):
            group = program.groups[stage.first_group + g]
            left, across = _left(program, stage, group, start, many, sentences, work, kept)
            added = 0 if g == 0 else len(work.drive) // 2
            for first in range(0, d, width):
                apart = min(width, d - first)
                # The last tile first: what it writes beyond a row, the first tile of the next row overwrites.
                for column in range((apart - 1) // TILE * TILE, -1, -TILE):
                    multiply(
                        left, 0, across, DEPTH, many, program.weights, group.weight + (first + column) * across,
                        VECTORS * BLOCK, across // DEPTH, VECTORS, program.biases, group.bias + first + column,
                        work.drive, added + column, apart,
                    )  # fmt: skip
                if width < d:
                    u = work.drive[: many * apart].reshape(many, apart)
                    fire_linear(program, stage, u, out, first, apart, totals)
            if g:
                for at in range(many * d):
                    work.drive[at] += work.drive[added + at]
        u = work.drive[: many * d].reshape(many, d)
        for s in range(stage.skips):
            skip = program.skips[stage.first_skip + s]
            m = _rows_of(program, stage, skip.source, start, many, sentences, work, kept)
            add_skip(u, m, program.floats[skip.weight : skip.weight + d])
        if stage.kind == READOUT:
            for row in range(many):
                for c in range(d):
                    result.logits[start + row, c] = u[row, c]
        elif width == d:
            # 0, but no literal, for whose type numba would compile all of it once more
            fire_linear(program, stage, u, out, d - width, d, totals)


@inlined
def _embed(program: Program, sentences: Sentences, start: int, u: Floats) -> None:
    """U of the embedding, of tokens from ``start`` on."""
    for row in range(len(u)):
        token = start + row
        word, kind = program.word[sentences.ids[token]], program.token_type[sentences.types[token]]
        position, drive = program.position[sentences.positions[token]], u[row]
        for c in range(len(drive)):
            drive[c] = word[c] + position[c] + kind[c]


@inlined
def _left(
    program: Program,
    stage: Record,
    group: Record,
    start: int,
    many: int,
    sentences: Sentences,
    work: Work,
    kept: bool,
) -> tuple[Bytes, int]:
    """The left operand of some rows, and how far they are apart."""
    m = _rows_of(program, stage, group.source, start, many, sentences, work, kept)
    d = m.shape[1]
    if group.plain:
        return m.reshape(many * d), d
    factor, offset = program.bytes[group.factor : group.factor + d], program.bytes[group.factor + d :]
    repeated = program.whole[group.repeated : group.repeated + group.repeats]
    spread_axons(m, factor, offset, repeated, work.left[: many * group.axons].reshape(many, group.axons))
    return work.left, group.axons


@inlined
def _rows_of(
    program: Program, stage: Record, name: int, start: int, many: int, sentences: Sentences, work: Work, kept: bool
) -> Bytes:
    """Counts of a source at some of the stage's rows, (many, d)."""
    source = program.stages[name]
    d, m = source.width, _population(source, sentences, work, kept)
    if stage.first and not source.first:
        gathered = work.gathered[: many * d].reshape(many, d)
        for row in range(many):
            at = sentences.starts[start + row] * d
            for c in range(d):
                gathered[row, c] = m[at + c]
        return gathered
    return m[start * d : (start + many) * d].reshape(many, d)


@inlined
def _population(stage: Record, sentences: Sentences, work: Work, kept: bool) -> Bytes:
    """Where its counts lie, flat."""
    tokens = len(sentences.ids)
    at = (stage.kept_slot if kept else stage.slot) * tokens
    return work.counts[at : at + tokens * stage.width]


@inlined
def _count_events(
    program: Program, index: int, sentences: Sentences, work: Work, result: Result, kept: bool, graded: bool
) -> None:
    stage = program.stages[index]
    if stage.kind == SCORES or stage.kind == READOUT:  # whose events are counted as they are sent; which sends none
        return
    d, starts = stage.width, sentences.each if stage.first else sentences.starts
    rows = starts[-1]
    counts = _population(stage, sentences, work, kept)
    m = counts[: rows * d].reshape(rows, d)
    channels = result.channels[stage.channels : stage.channels + d]
    if stage.attended:
        tally_sentences(m, stage.zero, program.most, graded, starts, channels, result.sentences[index])
    else:
        tally(m, stage.zero, program.most, graded, channels)
    for events in channels:
        result.totals[index, MESSAGES] += events
    if graded:
        result.totals[index, SPIKES] = spikes_of(m, stage.zero)
    else:
        result.totals[index, SPIKES] = result.totals[index, MESSAGES]
    if stage.first_used:
        firsts = result.firsts[stage.channels : stage.channels + d]
        _count_first(counts, d, starts, stage.zero, program.most, graded, sentences.each, firsts, result.first[index])


@inlined
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
        tally_sentences(row, zero, most, graded, each[:2], channels, sums[sentence : sentence + 1])
