"""Numbers as people read them: three significant digits, SI prefixes; and text that is safe to print."""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata

_PREFIXES = {-5: "f", -4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P"}


#: Characters that turn the direction of the text after them around.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: object) -> str:
    """Text from outside as a terminal may show it: control characters, halves of pairs and the like as escapes.

    A file name can hold the codes that clear a screen, or bytes that are no UTF-8.
    """
    return "".join(character if _harmless(character) else _escaped(character) for character in str(text))


def folded(line: str, width: int) -> str:
    """A line in several of at most ``width`` characters, broken between words.

    Those that follow begin below its text: after its indentation, or after the name in front of two spaces or more.
    """
    if len(line) <= width:
        return line
    named = re.match(r" *(?:\S+(?: \S+)* {2,})?", line)
    indent = len(named[0]) if named is not None and len(named[0]) <= width // 3 else 0
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _harmless(character: str) -> bool:
    if " " <= character <= "~" or character == "\t":
        return True
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in _TURNING


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _prefixed(value: float) -> tuple[float, str]:
    if value == 0:
        return 0.0, ""
    rounded = float(f"{value:.3g}")  # first, so that 999.9 becomes 1 k and not 1000
    group = math.floor(math.log10(abs(rounded)) / 3 + 1e-9)
    group = min(max(group, min(_PREFIXES)), max(_PREFIXES))
    return rounded / 1000.0**group, _PREFIXES[group]


def significant(value: float) -> str:
    """Three significant digits, thousands separated: 3.28, 337, 0.00975, 41,200."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    return f"{float(f'{value:.3g}'):,.{digits}f}"


def energy(nanojoules: float) -> str:
    """``78_300`` -> ``78.3 µJ``."""
    value, prefix = _prefixed(nanojoules * 1e-9)
    return f"{significant(value)} {prefix}J"


def duration(seconds: float) -> str:
    """``0.00123`` -> ``1.23 ms``."""
    value, prefix = _prefixed(seconds)
    return f"{significant(value)} {prefix}s"


def energy_tick(nanojoules: float) -> str:
    """`energy` for an axis: no trailing zeros."""
    value, prefix = _prefixed(nanojoules * 1e-9)
    return f"{value:g} {prefix}J" if value else "0"


def count_tick(value: float) -> str:
    """`count` for an axis: no trailing zeros."""
    scaled, prefix = _prefixed(value)
    return f"{scaled:g} {prefix}".strip()


def count(value: float) -> str:
    """Whole numbers in full below 10,000, then ``842 M``, at most three significant digits."""
    if abs(value) < 10_000:
        return f"{value:,.0f}" if value == int(value) else significant(value)
    scaled, prefix = _prefixed(value)
    return f"{significant(scaled)} {prefix}".strip()


def factor(value: float) -> str:
    """A ratio as a reader says it: ``337``, ``12.8``, ``1.05``."""
    return significant(value)


def share(value: float) -> str:
    """``0.4567`` -> ``46 %``; never rounded to a false 0 or 100."""
    if 0 < value < 0.005:
        return "under 1 %"
    if 0.995 <= value < 1:
        return "over 99 %"
    return f"{100 * value:.0f} %"


def score(value: float, metric: str) -> str:
    """Proportions (accuracy, F1) in per cent with one decimal; correlations with three."""
    return f"{100 * value:.1f} %" if metric.lower() in ("accuracy", "f1") else f"{value:.3f}"


def precision(name: str) -> str:
    """A number format as it is usually spelt: FP32, BF16, int8."""
    return name.upper() if name.lower().startswith(("fp", "bf")) else name
