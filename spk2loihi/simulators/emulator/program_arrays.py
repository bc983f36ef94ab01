"""What a network is to the compiled loops that run it: records of its stages, and arrays their numbers lie in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spk2loihi.compiled import Bytes, Floats, Integers
from spk2loihi.simulators.emulator.byte_tiles import DEPTH, SignedBytes, Sums
from spk2loihi.simulators.emulator.soma_kernels import Doubles

Record = Any
"""An element of `Records`, whose fields are attributes in compiled loops."""
Words = NDArray[np.uint32]
Records = NDArray[np.void]

EMBEDDING, LINEAR, SCORES, CONTEXT, READOUT = range(5)
"""Kinds of stage."""
AFFINE, SHORT_AFFINE, LAYER_NORM, GELU, SOFTMAX, PAYLOAD = range(6)
"""Kinds of firing; a short affine one is exact in float32."""

SPIKES, MESSAGES, DRIVES, OUTLIERS, PRODUCTS = range(5)
"""Columns of `Result.totals`; the last three are those of `StreamMessages`."""

STAGE = np.dtype(
    [
        *((name, np.int64) for name in (
            "kind", "firing", "width", "heads", "zero", "first",  # first: exists for the [CLS] token only
            "slot", "kept_slot",  # where its counts lie: in bytes per row of tokens, or the number of a score stage
            "first_group", "groups", "first_skip", "skips", "start",  # start: of the drive, where no product has it
            "left", "right",  # stages of an attention drive
            "attended", "first_used", "channels",  # counters that somebody needs, and where those of channels start
            "threshold", "at", "also_at", "whole_at",  # of constants of the firing, each in the array of its type
            "scale_mantissa", "scale_shift", "gain_mantissa", "gain_shift",
            "shift", "relu", "limit", "chip",
        )),
        *((name, np.float64) for name in ("scale", "offset", "doubt", "unit", "last")),
    ]
)  # fmt: skip

GROUP = np.dtype(
    [
        (name, np.int64)
        for name in ("source", "weight", "bias", "axons", "plain", "factor", "repeated", "repeats")  # or a skip's
    ]
)


class Program(NamedTuple):
    """Constants.

    Attributes:
        stages: `STAGE` records.
        groups, skips: `GROUP` records of dense and of one-to-one synapses; ``weight`` is a place in ``weights``, or in
            ``floats``.
        weights, biases, floats, doubles, whole, bytes: flat.
        word, position, token_type: of the embedding, (.., d).
        most: the largest |n|.
    """

    stages: Records
    groups: Records
    skips: Records
    weights: SignedBytes
    biases: Sums
    floats: Floats
    doubles: Doubles
    whole: Integers
    bytes: Bytes
    word: Floats
    position: Floats
    token_type: Floats
    most: int


class Sentences(NamedTuple):
    """A batch, packed.

    Attributes:
        ids, types, positions: of tokens that exist, (tokens,).
        starts: the first token of each sentence, and the number of tokens, (B + 1,).
        each: the same where a sentence has one row.
    """

    ids: Integers
    types: Integers
    positions: Integers
    starts: Integers
    each: Integers


class Work(NamedTuple):
    """Memory that lasts from call to call, all of it flat.

    Attributes:
        counts: bytes n + zero of populations, slot by slot, each (rows, d).
        scores: counts of scores: of every sentence (H, fours of keys, rows filled up to whole vectors, 4).
        drive: U of a block of rows.
        left: left operands of a block of rows.
        gathered: rows of first tokens.
        right, sums: an attention product's right operand, packed, and what its rows start from.
        score: one row of scores.
        exponential: a vector a key.
        score_words, right_words: the memory of ``scores`` and ``right``, four bytes at a time.
    """

    counts: Bytes
    scores: Bytes
    drive: Floats
    left: Bytes
    gathered: Bytes
    right: SignedBytes
    sums: Sums
    score: Sums
    exponential: Floats
    score_words: Words
    right_words: Words


class Result(NamedTuple):
    """What a run writes.

    Attributes:
        channels, firsts: events of every channel, and those of first tokens, stage after stage.
        sentences, first: events of every sentence, and those of its first token, (stages, B); where they are needed.
        totals: (stages, 5).
        logits: U of the readout, (B or tokens, labels).
    """

    channels: Integers
    firsts: Integers
    sentences: Integers
    first: Integers
    totals: Integers
    logits: Floats


def whole_depths(keys: Any) -> Any:
    """Keys, filled up to a multiple of `DEPTH`."""
    return -(-keys // DEPTH) * DEPTH
