"""Templates and style shared by all pages."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment() -> Environment:
    """The page templates. Every string is escaped, and an undefined name is an error."""
    return Environment(
        loader=PackageLoader("spk2loihi.reporting", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_in_utf8,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _in_utf8(value: Any) -> Any:
    """A file name may hold bytes that are no UTF-8, which no page can."""
    if type(value) is str and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def asset(name: str) -> str:
    """A script or style sheet of the pages."""
    return (files("spk2loihi.reporting") / "assets" / name).read_text(encoding="utf-8")


def page_style() -> Markup:
    """Style sheet of every page: colours for light and dark, cards, boxes, figures, tables."""
    return Markup(asset("style.css"))
