"""Coefficient sets by name: built in, installed by the user, or a file anywhere.

Nobody has published an energy per synaptic operation of Loihi 2. The built-in set of that chip is an upper bound of one
measured workload (`spk2loihi.energy.pilotnet_bound`). A user who has measured a price passes its file, or puts it into
`user_folder` and passes its name.
"""

from __future__ import annotations

from pathlib import Path

from spk2loihi.energy.coefficient_file import read_coefficients
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.errors import UserError
from spk2loihi.files import exists
from spk2loihi.ranges import shown

_FOLDER = Path(__file__).with_name("coefficient_sets")
_NAMES = (  # in the order of reports
    "loihi2-pilotnet-bound",
    "loihi1-davies2018",
    "horowitz-45nm-fp32",
    "horowitz-45nm-int8",
    "horowitz-45nm-memory",
)

#: Sets by name. Every report uses all of them, so that no comparison can be left out.
BUILTIN_SETS: dict[str, CoefficientSet] = {name: read_coefficients(_FOLDER / f"{name}.json") for name in _NAMES}
LOIHI2_BOUND, LOIHI1, HOROWITZ_FP32, HOROWITZ_INT8, HOROWITZ_MEMORY = BUILTIN_SETS.values()


def user_folder() -> Path:
    """Where a user's own sets are found by name: ``coefficients/NAME.json`` in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("spk2loihi", appauthor=False, roaming=True) / "coefficients"


def load_coefficients(name_or_path: str | Path) -> CoefficientSet:
    """A user's own set: the name of a file in `user_folder`, without ``.json``, or a path.

    Raises:
        UserError: no such set, or a bad file (`read_coefficients`), or the name of a built-in set.
    """
    path = coefficient_path(name_or_path)
    given = read_coefficients(path)
    if given.name in BUILTIN_SETS:
        raise UserError(
            f"name {given.name!r} in the coefficient file {path} is that of a built-in set: choose another."
        )
    return given


def coefficient_path(name_or_path: str | Path) -> Path:
    """The file of `load_coefficients`, which may not exist where a path is given."""
    path = Path(name_or_path)
    return path if path.suffix or exists(path) else _installed(str(name_or_path))


def _installed(name: str) -> Path:
    if name in BUILTIN_SETS:
        raise UserError(f"The coefficient set {name!r} is built in and always reported: leave it out.")
    path = user_folder() / f"{name}.json"
    if not exists(path):
        known = sorted(p.stem for p in user_folder().glob("*.json"))
        raise UserError(
            f"The coefficient set {shown(name)} is not in {user_folder()}, which has {', '.join(known) or 'none'}: "
            "put its file there, or pass the file."
        )
    return path
