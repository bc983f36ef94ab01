"""Boards a network may be placed on: built in by name, or a user's JSON file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spk2loihi.errors import UserError
from spk2loihi.files import exists
from spk2loihi.fit import chip_limits as limits
from spk2loihi.fit.chip_limits import Limit
from spk2loihi.json_file import read_json
from spk2loihi.ranges import shown

#: Limits of a neurocore and of a chip, by name.
LOIHI2: dict[str, Limit] = {
    limit.name: limit
    for limit in (
        limits.WEIGHT_WIDTH,
        limits.FAN_IN,
        limits.NEURONS,
        limits.NEURON_MEMORY,
        limits.SYNAPTIC_MEMORY,
        limits.AXONS_IN,
        limits.AXONS_OUT,
        limits.ROUTES,
        limits.CORE_MEMORY,
        limits.CORES,
    )
}


_NAME_MAX = 100  # characters of a board's name
_MOST = 10**9  # chips, and of every limit


@dataclass(frozen=True)
class Board:
    """A number of equal chips. ``limits`` has an entry for every name in `LOIHI2`."""

    name: str
    chips: int
    limits: dict[str, Limit]

    @property
    def cores_per_chip(self) -> int:
        return self.limits["cores"].value

    @property
    def cores(self) -> int:
        return self.chips * self.cores_per_chip


def _loihi2(*changed: Limit) -> dict[str, Limit]:
    return {**LOIHI2, **{limit.name: limit for limit in changed}}


#: Chips: Intel's technology brief (Oheo Gulch: single-chip board), 2022 (Kapoho Point: eight chips), 2024 (Hala Point).
BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board("oheo-gulch", 1, _loihi2(limits.SYNAPTIC_MEMORY_OHEO_GULCH, limits.FAN_IN_OHEO_GULCH)),
        Board("kapoho-point", 8, _loihi2()),
        Board("hala-point", 1152, _loihi2(limits.CORES_HALA_POINT)),
    )
}
DEFAULT_BOARD = "kapoho-point"


def find_board(name_or_path: str) -> Board:
    """A built-in board, or the one in a JSON file::

        {"name": "my-board", "chips": 2, "limits": {"synaptic_memory": {"value": 12000, "source": "where it is from"}}}

    Limits that are not named are those of Loihi 2 (`LOIHI2`).

    Raises:
        UserError: no such board, or a file that is not such a JSON object.
    """
    if name_or_path in BOARDS:
        return BOARDS[name_or_path]
    path = Path(name_or_path)
    if not exists(path):
        raise UserError(
            f"board {shown(name_or_path)} is not known: choose {', '.join(BOARDS)} or an existing JSON file"
        )
    data = read_json(path, "board file", "see docs/guide/fit.md")
    if not isinstance(data, dict) or not set(data) <= {"name", "chips", "limits"}:
        raise UserError(f"board file {path} must be a JSON object with name, chips and limits: see docs/guide/fit.md")
    name, given = data.get("name"), data.get("limits", {})
    if not isinstance(name, str) or not name.strip() or name in BOARDS or len(name) > _NAME_MAX or "\n" in name:
        raise UserError(
            f"name {shown(name)} in board file {path} must be text, of up to {_NAME_MAX} characters, and not a "
            "built-in board's: change it"
        )
    if not isinstance(given, dict) or not set(given) <= set(LOIHI2):
        raise UserError(f"limits in board file {path} must be an object with keys among {', '.join(LOIHI2)}: mend it")
    chips = _positive(data.get("chips"), f"chips in board file {path}")
    changed = (_limit(LOIHI2[key], entry, f"limit {key} in board file {path}") for key, entry in given.items())
    return Board(name, chips, _loihi2(*changed))


def _limit(default: Limit, entry: Any, what: str) -> Limit:
    if not isinstance(entry, dict) or not set(entry) <= {"value", "source"} or not isinstance(entry.get("source"), str):
        raise UserError(f"{what} must be an object with value and source: say where the number is from")
    return replace(default, value=_positive(entry.get("value"), what), source=entry["source"], certainty="documented")


def _positive(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise UserError(
            f"{what} is {shown(value)}, but must be a whole number of 1 or more, up to {_MOST:,}: change it"
        )
    return value
