"""Every number a user may give, and its range: named once, checked by the library, listed in docs/limits.md."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

from spk2loihi.errors import UserError
from spk2loihi.limits import TIMESTEPS_MAX

_SHOWN = 40  # characters of a value in a sentence


class Range(NamedTuple):
    """From ``least`` to ``most``, both included, unless ``open_least`` or ``open_most``."""

    least: float
    most: float
    whole: bool = True
    open_least: bool = False
    open_most: bool = False

    def __contains__(self, value: Any) -> bool:
        above = value > self.least if self.open_least else value >= self.least
        below = value < self.most if self.open_most else value <= self.most
        return bool(above and below)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.open_least or self.open_most:
            low = f"above {self.least:,}" if self.open_least else f"from {self.least:,}"
            return f"{kind} {low} and {'below' if self.open_most else 'up to'} {self.most:,}"
        return f"{kind} from {self.least:,} to {self.most:,}"


_COUNT = Range(1, 10**9)
_RATE = Range(0, 1, whole=False, open_least=True, open_most=True)
_SHARE = Range(0, 1, whole=False, open_most=True)
_STEPS = Range(1, 10**6)

#: By parameter of the library; options of the command line that have another name are in `docs/limits.md`.
RANGES: dict[str, Range] = {
    # sizes of a student
    "layers": Range(1, 64),
    "hidden": Range(1, 16_384),
    "intermediate": Range(1, 65_536),
    "heads": Range(1, 1024),
    "labels": Range(1, 256),
    "tokens": Range(1, 16_384),
    "max_tokens": Range(1, 16_384),
    "timesteps": Range(1, TIMESTEPS_MAX),
    # training
    "leak": _SHARE,
    "feedback": _SHARE,
    "gradient_steps": Range(1, 10_000),
    "epochs": Range(1, 10**6),
    "teacher_epochs": Range(1, 10**6),
    "training_steps": _COUNT,
    "batch_size": Range(1, 10**6),
    "accumulate": Range(1, 10**6),
    "learning_rate": _RATE,
    "teacher_learning_rate": _RATE,
    "threshold_learning_rate": _RATE,
    "affine_learning_rate": _RATE,
    "seed": Range(0, 2**32 - 1),
    "evaluate_every": _COUNT,
    "early_stop": _COUNT,
    "validation_share": Range(0, 0.5, whole=False),
    "average": _SHARE,
    "seeds": Range(1, 100),
    "temperature": Range(0, 1000, whole=False, open_least=True, open_most=True),
    "rate_penalty": Range(0, 1000, whole=False, open_most=True),
    "loss_weight": Range(0, 1000, whole=False),
    "checkpoint_steps": _COUNT,
    "checkpoint_seconds": Range(0, 10**9, whole=False, open_least=True),
    # runs of sentences
    "samples": _COUNT,
    "jobs": Range(1, 256),
    "workers": Range(1, 256),
    "run_steps": Range(1, 10**9),
    "networks": Range(1, 1000),
    # runs of arrays
    "steps": _STEPS,
    "frame_steps": _STEPS,
    "num_layers": Range(1, 10**6),
    "first_layer": Range(0, 10**6),
    "message_bits": Range(0, 31),  # precision of num_message_bits in lava/proc/dense/models.py: 5 bits
    "reset_interval": Range(1, 2**31 - 1),
    "reset_offset": Range(1 - 2**31, 2**31 - 1),
    "spike_exp": Range(0, 7),  # precision of spike_exp in lava/proc/sdn/models.py: 3 bits
    "stored_bits": Range(2, 8),
    "dt": Range(0, 1000, whole=False, open_least=True),
    # times
    "step_us": Range(0, 10**9, whole=False, open_least=True),
    # figures
    "neurons": Range(1, 10**6),
}


def check_number(name: str, value: Any, kind: str | None = None) -> Any:
    """``value``, if it is in its range.

    Args:
        name: of the parameter, for the error.
        kind: of its range in `RANGES`, if that has another name.

    Raises:
        UserError: not a number, not finite, not whole where it must be, or out of range.
    """
    known = RANGES[kind or name]
    try:
        number = operator.index(value) if known.whole else float(value)
        fits = not isinstance(value, (bool, str, bytes)) and number in known
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise UserError(f"`{name}` is {shown(value)}, but it is {known}: choose one in that range")
    return number


def check_numbers(values: dict[str, Any], kinds: dict[str, str] | None = None) -> None:
    """`check_number` of each that is not None."""
    for name, value in values.items():
        if value is not None:
            check_number(name, value, (kinds or {}).get(name))


def shown(value: Any) -> str:
    """A value for a sentence, short: Python refuses to print a number of 5,000 digits."""
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return f"{'-' if value < 0 else ''}10**{int(value.bit_length() * math.log10(2))}"
    if isinstance(value, float):
        return f"{value:g}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
