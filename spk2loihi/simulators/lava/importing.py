"""Importing Lava, which is noisy, and fails if another library has fixed how processes start."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import multiprocessing
import sys
from collections.abc import Iterator
from types import ModuleType

from spk2loihi.errors import UserError, first_line
from spk2loihi.versions import INSTALL_LAVA


def import_lava() -> None:
    """Import Lava and lava-dl's netx, without their noise (Prophesee, CUDA).

    Lava sets the start method of `multiprocessing` when it is imported and fails if some library has fixed it before.

    Raises:
        UserError: it is not there.
    """
    chatty = logging.getLogger("torch.utils.cpp_extension")
    level = chatty.level
    chatty.setLevel(logging.ERROR)
    try:
        if "lava.magma.runtime" not in sys.modules:
            multiprocessing.set_start_method(None, force=True)
        with contextlib.redirect_stdout(io.StringIO()), _without_slayer():
            import lava.lib.dl.netx.blocks.process
            import lava.lib.dl.netx.hdf5  # noqa: F401
    except (ImportError, ValueError) as error:  # ValueError: dataclass defaults of lava-nc, from Python 3.11 on
        how = INSTALL_LAVA if sys.version_info[:2] == (3, 10) else "make an environment with Python 3.10"
        raise UserError(
            f"the cpu and loihi2 backends need lava-nc 0.10.0 and lava-dl 0.6.0 on Python 3.10, which cannot be "
            f"imported here ({first_line(error)}): {how}, or use the `backend` emulator, which works without"
        ) from error
    finally:
        chatty.setLevel(level)


_SLAYER = "lava.lib.dl.slayer"


@contextlib.contextmanager
def _without_slayer() -> Iterator[None]:
    """Leave slayer, of which netx takes one formula (``neuron.rf``), an empty package meanwhile.

    It would import torchvision and torch's compiler, which takes longer than Lava itself. Who imports slayer later gets
    it whole.
    """
    found = None if _SLAYER in sys.modules else importlib.util.find_spec(_SLAYER)
    if found is None or found.submodule_search_locations is None:
        yield
        return
    empty = ModuleType(_SLAYER)
    empty.__path__ = list(found.submodule_search_locations)
    sys.modules[_SLAYER] = empty
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name == _SLAYER or name.startswith(f"{_SLAYER}.")]:
            del sys.modules[name]
