"""What would make a network fit: every answer is a network that was partitioned and found to fit, or "none does"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from spk2loihi.fit.boards import BOARDS, Board
from spk2loihi.fit.partition import partition
from spk2loihi.fit.population import Population, resized

#: Fewest tokens a sentence has: [CLS], a word, [SEP].
_MIN_TOKENS = 3
#: Fewest bits `spk2loihi train --bits` takes.
_MIN_BITS = 2


def cores_needed(populations: Sequence[Population], board: Board) -> int | None:
    """Cores on chips of ``board``, however many there are; None where a population fits no core at all."""
    placements = partition(populations, board)
    return None if any(p.refused for p in placements) else sum(p.cores for p in placements)


def remedies(populations: Sequence[Population], board: Board) -> list[dict[str, Any]]:
    """One entry a knob, alone with all else unchanged: ``{change, from, to, cores, text}``; ``to`` null: none helps."""
    first = populations[0]
    heads = max(p.heads for p in populations)
    ratio = {p.channels for p in populations if p.fires and p.kind != "scores"}
    bits = max((i.bits for p in populations for i in p.inputs if not i.one_to_one), default=1)

    def narrower(head_width: int) -> list[Population]:
        hidden = head_width * heads
        return resized(populations, {w: math.ceil(w * hidden / first.channels) for w in ratio})

    found = [
        _longest(populations, first.max_tokens, board),
        _largest("bits", bits, _MIN_BITS, 1, lambda n: resized(populations, bits=n), board),
    ]
    if all(remedy["to"] is None for remedy in found):
        found += _shorter_with_fewer_bits(populations, bits, board)
    step = math.gcd(first.channels // heads, 8)  # of a head's width: widths that can be halved are cut well
    found.append(
        _largest("hidden", first.channels // heads // step, 1, heads * step, lambda n: narrower(n * step), board)
    )
    return [*found, larger_board(board, lambda other: cores_needed(populations, other))]


def _longest(populations: Sequence[Population], now: int, board: Board) -> dict[str, Any]:
    return _largest("seq_len", now, _MIN_TOKENS, 1, lambda n: resized(populations, tokens=n), board)


def _shorter_with_fewer_bits(populations: Sequence[Population], bits: int, board: Board) -> list[dict[str, Any]]:
    """The most bits at which some sequence length fits, and the longest one; nothing where there is none."""
    now = populations[0].max_tokens
    for fewer in range(bits - 1, _MIN_BITS - 1, -1):
        remedy = _longest(resized(populations, bits=fewer), now, board)
        if remedy["to"] is not None:
            text = (
                f"weight bits {fewer} and sequence length {remedy['to']}: {remedy['cores']:,} of {board.cores:,} cores"
            )
            to = [fewer, remedy["to"]]
            return [{"change": "bits+seq_len", "from": [bits, now], "to": to, "cores": remedy["cores"], "text": text}]
    return []


_WORDS = {"seq_len": "sequence length", "hidden": "width (feed-forward width in proportion)", "bits": "weight bits"}


def _largest(
    change: str, now: int, least: int, unit: int, build: Callable[[int], list[Population]], board: Board
) -> dict[str, Any]:
    """A value below ``now`` that fits, of which the next larger one does not, by bisection.

    Larger ones may fit all the same: 64 channels can be cut into fewer cores than 63, which have no half.
    """

    def cores(value: int) -> int | None:
        needed = cores_needed(build(value), board)
        return needed if needed is not None and needed <= board.cores else None

    low, high = least - 1, now - 1
    while low < high:
        middle = (low + high + 1) // 2
        if cores(middle) is None:
            high = middle - 1
        else:
            low = middle
    if low < least:
        text = f"no {_WORDS[change]} down to {least * unit} makes it fit by itself"
        return {"change": change, "from": now * unit, "to": None, "cores": None, "text": text}
    needed = cores(low)
    text = f"{_WORDS[change]} {low * unit} instead of {now * unit}: {needed:,} of {board.cores:,} cores"
    return {"change": change, "from": now * unit, "to": low * unit, "cores": needed, "text": text}


def larger_board(board: Board, needed: Callable[[Board], int | None]) -> dict[str, Any]:
    """The smallest larger built-in board that holds what ``needed`` says the cores of; as an entry of `remedies`."""
    for other in sorted(BOARDS.values(), key=lambda b: b.cores):
        if other.cores > board.cores and (cores := needed(other)) is not None and cores <= other.cores:
            text = f"board {other.name} instead of {board.name}: {cores:,} of {other.cores:,} cores"
            return {"change": "board", "from": board.name, "to": other.name, "cores": cores, "text": text}
    text = "no larger built-in board holds it"
    return {"change": "board", "from": board.name, "to": None, "cores": None, "text": text}
