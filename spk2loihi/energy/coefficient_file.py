"""The file of a coefficient set: read, and refused in one sentence where it is wrong."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, get_args

from spk2loihi.energy.coefficients import (
    CHARGED_FOR,
    NOT_CHARGED,
    PICOJOULES,
    REQUIRED,
    Bound,
    Coefficient,
    CoefficientSet,
    Memory,
    SetKind,
)
from spk2loihi.errors import UserError
from spk2loihi.json_file import read_json
from spk2loihi.ranges import shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEAST, _MOST = 1e-9, 1e9  # of a price that is not 0, in its unit
_TOP_KEYS = ("name", "kind", "memory", "scope", "precision", "bound", "within_synop", "coefficients")
_CHIP_KEYS = ("bound", "within_synop")
_ENTRY_KEYS = ("value", "unit", "source", "scope", "low", "high")


def read_coefficients(path: Path) -> CoefficientSet:
    """Read a coefficient set from a JSON file::

        {
          "name": "my-board",                 # letters, digits, '.', '_', '-'
          "kind": "chip",                     # or "arithmetic", "memory"
          "memory": "included",               # or "excluded": is the memory traffic of an operation in its price?
          "bound": "upper",                   # chip sets, if operations cost at most this; left out: an estimate
          "within_synop": ["neuron_active"],  # chip sets: what the price of a SynOp contains; left out: nothing else
          "precision": "int8",                # arithmetic sets only: the number format, "fp32", "int8", ...
          "scope": "what the numbers hold for: chip, process, voltage, measured or estimated",
          "coefficients": {
            "synop": {"value": 12.5, "low": 11, "high": 15, "unit": "pJ", "source": "where the number comes from"},
            ...                               # names: see CHARGED_FOR; those a kind needs: REQUIRED
          }                                   # unit: fJ, pJ, nJ or uJ, per operation; "scope" overrides the set's;
                                              # low and high, its bounds, together or not at all
        }

    Raises:
        UserError: the file cannot be read, is not such a JSON object, has an unknown or missing key, a value that is
            negative or not a finite number, a required coefficient of zero, or bounds that do not enclose the value.
    """
    data = read_json(path, "coefficient file", "pass an existing JSON file of a price table")
    data = _object(data, f"The coefficient file {path}")
    where = f"in the coefficient file {path}"
    _no_unknown(data, _TOP_KEYS, where)

    name = _text(data, "name", where)
    if not _NAME.fullmatch(name):
        raise UserError(
            f'name {shown(name)} {where} may hold letters, digits, ".", "_" and "-", 64 at most: shorten it.'
        )
    kind = _kind(_text(data, "kind", where), where)
    memory = _memory(data, kind, where)
    scope = _text(data, "scope", where)
    if kind != "chip" and (chips := [key for key in _CHIP_KEYS if key in data]):
        raise UserError(f"{chips[0]} {where} belongs to chip sets, but kind is {kind!r}: remove it.")
    bound, within = _bound(data, where), _within(data, where)
    precision = ""
    if kind == "arithmetic":
        precision = _text(data, "precision", where)
    elif "precision" in data:
        raise UserError(f"precision {where} belongs to arithmetic sets, but kind is {kind!r}: remove it.")

    entries = _object(data.get("coefficients"), f"coefficients {where}")
    _no_unknown(entries, tuple(CHARGED_FOR[kind]), where)
    for required in REQUIRED[kind]:
        if required not in entries:
            raise UserError(f"The coefficient {required!r} is missing {where}, and a {kind} set needs it: add it.")
    coefficients = tuple(_coefficient(key, entry, kind, scope, where) for key, entry in entries.items())
    if twice := [key for key in within if key in entries]:
        raise UserError(f"{twice[0]} {where} is both priced and within_synop, so it would be charged twice: drop one.")
    return CoefficientSet(name, kind, scope, coefficients, precision, memory, bound, within)


def _memory(data: dict[str, Any], kind: SetKind, where: str) -> Memory:
    """No default: a wrong one would put unlike energies into one ratio."""
    value = data.get("memory")
    if kind == "memory" and value != "included":
        raise UserError(f"memory {where} must be \"included\" where kind is 'memory': change it.")
    if value == "included" or value == "excluded":
        return "included" if value == "included" else "excluded"
    found = "missing" if value is None else shown(value)
    raise UserError(
        f'memory {where} is {found}, but must be "included" or "excluded": say whether the price of an operation '
        "contains the memory traffic it causes."
    )


def _bound(data: dict[str, Any], where: str) -> Bound:
    value = data.get("bound", "")
    if value == "upper":
        return "upper"
    if "bound" in data:
        raise UserError(f'bound {where} is {shown(value)}, but can only be "upper": mend it, or leave it out.')
    return ""


def _within(data: dict[str, Any], where: str) -> tuple[str, ...]:
    value = data.get("within_synop", [])
    known = [key for key in CHARGED_FOR["chip"] if key not in ("synop", *NOT_CHARGED)]
    if not isinstance(value, list) or not all(isinstance(key, str) and key in known for key in value):
        raise UserError(f"within_synop {where} must be a list of names among {', '.join(known)}: mend it.")
    return tuple(value)


def _coefficient(name: str, entry: Any, kind: SetKind, scope: str, where: str) -> Coefficient:
    entry = _object(entry, f"The coefficient {name!r} {where}")
    at = f"of the coefficient {name!r} {where}"
    _no_unknown(entry, _ENTRY_KEYS, at)
    least = "above zero" if name in REQUIRED[kind] else "zero or more"
    value = _number(entry.get("value"), "value", least, at)
    low, high = (_number(entry[key], key, least, at) if key in entry else None for key in ("low", "high"))
    if (low is None) != (high is None):
        raise UserError(f"low and high {at} bound the value together: give both or neither.")
    if low is not None and high is not None and not low <= value <= high:
        raise UserError(f"value {value} {at} is outside its bounds {low} to {high}: mend one of them.")
    unit = _text(entry, "unit", at)
    if unit not in PICOJOULES:
        raise UserError(f"unit {shown(unit)} {at} is not one of {', '.join(PICOJOULES)}: convert the value.")
    own_scope = _text(entry, "scope", at) if "scope" in entry else scope
    return Coefficient(name, value, unit, _text(entry, "source", at), own_scope, low, high)


def _number(value: Any, what: str, least: str, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"{what} {shown(value)} {at} is not a finite number: give the energy of one operation.")
    if value < 0 or (value == 0 and least == "above zero"):
        raise UserError(f"{what} {value} {at} must be {least}: give the energy of one operation.")
    if value and not _LEAST <= value <= _MOST:
        raise UserError(f"{what} {value:g} {at} is not within {_LEAST:g} to {_MOST:g}: choose another unit.")
    return float(value)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "missing" if value is None else type(value).__name__
        raise UserError(f"{what} must be a JSON object, but is {found}: see docs/guide/energy.md for the layout.")
    return value


def _text(data: dict[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        found = "missing" if value is None else shown(value)
        raise UserError(f"{key} {where} is {found}, but must be a non-empty string: add it.")
    return value.strip()


def _kind(value: str, where: str) -> SetKind:
    for kind in get_args(SetKind):
        if value == kind:
            return kind
    raise UserError(f"kind {shown(value)} {where} is not one of {', '.join(get_args(SetKind))}: choose one.")


def _no_unknown(data: dict[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in allowed:
            raise UserError(f"The key {shown(key)} {where} is unknown, {', '.join(allowed)} are allowed: remove it.")
