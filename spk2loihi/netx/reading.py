"""How a NIR file becomes integers: step, bits, scales, or exactly as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from spk2loihi.choices import SCALES, Scales
from spk2loihi.errors import UserError
from spk2loihi.ranges import check_number, shown

DEFAULT_DT = 1e-4  # seconds a step of NIR: what snnTorch, SpikingJelly and Norse write its files with
DEFAULT_BITS = 8


class ReadingOptions(TypedDict, total=False):
    """`Reading` as options: what is left out, or None, is the usual."""

    dt: float | None
    bits: int | None
    exact: bool | None
    scales: Scales | None


@dataclass(frozen=True)
class Reading:
    """How a NIR file becomes integers.

    Attributes:
        dt: seconds a step.
        bits: of a weight.
        exact: every number has to be whole as it is; ``bits`` and ``scales`` have no meaning then.
        scales: one a population, which has one threshold then; or one a channel, which rounds less.
    """

    dt: float = DEFAULT_DT
    bits: int = DEFAULT_BITS
    exact: bool = False
    scales: Scales = "layer"

    def __post_init__(self) -> None:
        check_number("dt", self.dt)
        check_number("bits", self.bits, "stored_bits")
        if self.scales not in SCALES:
            raise UserError(f"`scales` is {shown(self.scales)}: choose {' or '.join(SCALES)}")


def reading_among(options: Mapping[str, Any]) -> Reading:
    """Of what `ReadingOptions` there are among ``options``."""
    return reading_of(**cast(ReadingOptions, {name: options.get(name) for name in ReadingOptions.__annotations__}))


def reading_of(
    dt: float | None = None, bits: float | None = None, exact: bool | None = None, scales: Scales | None = None
) -> Reading:
    """With the usual numbers for what is None."""
    bits = DEFAULT_BITS if bits is None else bits
    whole = int(bits) if float(bits).is_integer() else bits  # what is not whole is refused
    return Reading(DEFAULT_DT if dt is None else dt, cast(int, whole), bool(exact), scales or "layer")
