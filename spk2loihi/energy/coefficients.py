"""Energy coefficients: every number that turns a count into joules, with its unit, source and scope.

No energy per synaptic operation has been published for Loihi 2, so no set here claims one. A user who has measured
one passes it as a file (`load_coefficients`).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from spk2loihi.errors import UserError
from spk2loihi.export.network import Encoding
from spk2loihi.export.soma import Gelu, LayerNorm, Softmax

SetKind = Literal["chip", "arithmetic"]

#: Energy units a coefficient may carry, in picojoules.
PICOJOULES: dict[str, float] = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "uJ": 1e6, "µJ": 1e6}

#: Host operations the simulators count (`StageOps.host`).
HOST_OPERATIONS = ("embedding", LayerNorm.kind, Softmax.kind, Gelu.kind)

#: What a coefficient of each name is charged for, by kind of set.
CHARGED_FOR: dict[SetKind, dict[str, str]] = {
    "chip": {
        "synop": "synaptic operation",
        "neuron_active": "update of an active neuron",
        "neuron_inactive": "update of an inactive neuron",
        "spike": "spike message within a tile",
        "hop_east_west": "hop of a spike message between tiles, east-west",
        "hop_north_south": "hop of a spike message between tiles, north-south",
        **{f"host.{op}": f"element of the host operation {op}" for op in HOST_OPERATIONS},
    },
    "arithmetic": {"add": "addition", "multiply": "multiplication", "mac": "multiply-accumulate"},
}

#: Coefficients without which a set says nothing; they divide, so they must be above zero.
REQUIRED: dict[SetKind, tuple[str, ...]] = {"chip": ("synop",), "arithmetic": ("add", "mac")}


@dataclass(frozen=True)
class Coefficient:
    """One energy per operation. ``unit`` is a key of `PICOJOULES`; ``scope`` says what the value holds for."""

    name: str
    value: float
    unit: str
    source: str
    scope: str

    @property
    def picojoules(self) -> float:
        return self.value * PICOJOULES[self.unit]


@dataclass(frozen=True)
class CoefficientSet:
    """A named collection of coefficients of one technology.

    A ``chip`` set prices spiking hardware (SynOps, neuron updates, messages). An ``arithmetic`` set prices bare adders
    and multipliers of one number format (``precision``, e.g. "fp32"): it gives the same-shape ANN a baseline and the
    spiking network the "one addition a SynOp" figure most papers report.
    """

    name: str
    kind: SetKind
    scope: str
    coefficients: tuple[Coefficient, ...]
    precision: str = ""

    def picojoules(self, name: str) -> float | None:
        """Energy in pJ of one operation called ``name``, or None where the set has none."""
        return next((c.picojoules for c in self.coefficients if c.name == name), None)

    def required(self, name: str) -> float:
        """Energy in pJ of a coefficient the set cannot lack (`REQUIRED`)."""
        value = self.picojoules(name)
        assert value is not None, f"{self.name} lacks {name}"
        return value

    def synop_pj(self, encoding: Encoding = "rate") -> float:
        """Energy in pJ of one SynOp: the chip's synaptic operation, or bare arithmetic.

        In arithmetic, a binary spike adds a weight; a graded message multiplies the weight by its payload first.
        """
        if self.kind == "chip":
            return self.required("synop")
        return self.required("mac" if encoding == "graded" else "add")


_DAVIES = "Davies et al., Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, IEEE Micro 38(1), 2018"
_LOIHI1 = "Loihi 1, 14 nm, pre-silicon estimate; not Loihi 2"
_HOROWITZ = "Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014"
_45NM = "45 nm, 0.9 V, the arithmetic unit alone: no memory, control or data movement"


def _davies(name: str, value: float) -> Coefficient:
    return Coefficient(name, value, "pJ", _DAVIES, _LOIHI1)


def _horowitz(name: str, value: float) -> Coefficient:
    return Coefficient(name, value, "pJ", _HOROWITZ, _45NM)


LOIHI1 = CoefficientSet(
    name="loihi1-davies2018",
    kind="chip",
    scope=_LOIHI1,
    coefficients=(
        _davies("synop", 23.6),
        _davies("neuron_active", 81.0),
        _davies("neuron_inactive", 52.0),
        _davies("spike", 1.7),
        _davies("hop_east_west", 3.0),
        _davies("hop_north_south", 4.0),
    ),
)

HOROWITZ_FP32 = CoefficientSet(
    name="horowitz-45nm-fp32",
    kind="arithmetic",
    scope=_45NM,
    precision="fp32",
    coefficients=(_horowitz("add", 0.9), _horowitz("multiply", 3.7), _horowitz("mac", 4.6)),
)

HOROWITZ_INT8 = CoefficientSet(
    name="horowitz-45nm-int8",
    kind="arithmetic",
    scope=_45NM,
    precision="int8",
    coefficients=(_horowitz("add", 0.03), _horowitz("multiply", 0.2), _horowitz("mac", 0.23)),
)

#: Sets by name. Every report uses all of them, so that no comparison can be left out.
BUILTIN_SETS: dict[str, CoefficientSet] = {s.name: s for s in (LOIHI1, HOROWITZ_FP32, HOROWITZ_INT8)}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOP_KEYS = ("name", "kind", "scope", "precision", "coefficients")
_ENTRY_KEYS = ("value", "unit", "source", "scope")


def load_coefficients(path: str | Path) -> CoefficientSet:
    """Read a coefficient set from a JSON file::

        {
          "name": "my-board",                 # letters, digits, '.', '_', '-'; not the name of a built-in set
          "kind": "chip",                     # or "arithmetic"
          "precision": "int8",                # arithmetic sets only: the number format, "fp32", "int8", ...
          "scope": "what the numbers hold for: chip, process, voltage, measured or estimated",
          "coefficients": {
            "synop": {"value": 12.5, "unit": "pJ", "source": "where the number comes from"},
            ...                               # names: see CHARGED_FOR; chip sets need synop, arithmetic add and mac
          }                                   # unit: fJ, pJ, nJ or uJ, per operation; "scope" overrides the set's
        }

    Raises:
        UserError: the file cannot be read, is not such a JSON object, has an unknown or missing key, a value that is
            negative or not a finite number, or a required coefficient of zero.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"The coefficient file {path} cannot be read ({error.strerror}): pass an existing JSON file."
        ) from None
    except ValueError as error:
        raise UserError(f"The coefficient file {path} is not JSON ({error}): mend it at that place.") from None
    data = _object(data, f"The coefficient file {path}")
    where = f"in the coefficient file {path}"
    _no_unknown(data, _TOP_KEYS, where)

    name = _text(data, "name", where)
    if not _NAME.fullmatch(name):
        raise UserError(f'name {name!r} {where} may hold letters, digits, ".", "_" and "-", 64 at most: shorten it.')
    if name in BUILTIN_SETS:
        raise UserError(f"name {name!r} {where} is that of a built-in set: choose another.")
    kind = _kind(_text(data, "kind", where), where)
    scope = _text(data, "scope", where)
    precision = ""
    if kind == "arithmetic":
        precision = _text(data, "precision", where)
    elif "precision" in data:
        raise UserError(f"precision {where} belongs to arithmetic sets, but kind is 'chip': remove it.")

    entries = _object(data.get("coefficients"), f"coefficients {where}")
    _no_unknown(entries, tuple(CHARGED_FOR[kind]), where)
    for required in REQUIRED[kind]:
        if required not in entries:
            raise UserError(f"The coefficient {required!r} is missing {where}, and a {kind} set needs it: add it.")
    coefficients = tuple(_coefficient(key, entry, kind, scope, where) for key, entry in entries.items())
    return CoefficientSet(name, kind, scope, coefficients, precision)


def _coefficient(name: str, entry: Any, kind: SetKind, scope: str, where: str) -> Coefficient:
    entry = _object(entry, f"The coefficient {name!r} {where}")
    at = f"of the coefficient {name!r} {where}"
    _no_unknown(entry, _ENTRY_KEYS, at)
    value = entry.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"value {value!r} {at} is not a finite number: give the energy of one operation.")
    if value < 0 or (value == 0 and name in REQUIRED[kind]):
        limit = "above zero" if name in REQUIRED[kind] else "zero or more"
        raise UserError(f"value {value} {at} must be {limit}: give the energy of one operation.")
    unit = _text(entry, "unit", at)
    if unit not in PICOJOULES:
        raise UserError(f"unit {unit!r} {at} is not one of {', '.join(PICOJOULES)}: convert the value.")
    own_scope = _text(entry, "scope", at) if "scope" in entry else scope
    return Coefficient(name, float(value), unit, _text(entry, "source", at), own_scope)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "missing" if value is None else type(value).__name__
        raise UserError(f"{what} must be a JSON object, but is {found}: see `load_coefficients` for the layout.")
    return value


def _text(data: dict[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        found = "missing" if value is None else repr(value)
        raise UserError(f"{key} {where} is {found}, but must be a non-empty string: add it.")
    return value.strip()


def _kind(value: str, where: str) -> SetKind:
    for kind in get_args(SetKind):
        if value == kind:
            return kind
    raise UserError(f"kind {value!r} {where} is not one of {', '.join(get_args(SetKind))}: choose one.")


def _no_unknown(data: dict[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in allowed:
            raise UserError(f"The key {key!r} {where} is unknown, {', '.join(allowed)} are allowed: remove it.")
