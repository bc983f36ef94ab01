"""What every page of this project is made with: one way to read templates, one style."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(package: str, folder: str) -> Environment:
    """Templates of ``folder`` in ``package``. Every string is escaped, and a name nobody has given is an error."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """A file of the energy report's page."""
    return (files("spk2loihi.energy") / "assets" / name).read_text(encoding="utf-8")


def page_style() -> Markup:
    """Style sheet of every page: colours for light and dark, cards, boxes, figures, tables."""
    return Markup(asset("style.css"))
