"""Spiking language models from PyTorch to Loihi 2: train at equilibrium, export to netx, run spike for spike."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spk2loihi.errors import UserError

if TYPE_CHECKING:
    from spk2loihi.analysis.spike_run import SpikeRun
    from spk2loihi.analysis.spiking_network import SpikingNetwork
    from spk2loihi.api import (
        convert,
        derive_price,
        energy,
        export,
        fit,
        inspect,
        load,
        run,
        simulate,
        sweep,
        train,
        verify,
    )
    from spk2loihi.network.run_config import RunConfig

    __version__: str

# Read when torch loads its OpenMP runtime: threads that wait for others sleep, where they would otherwise spin and take
# that time from whatever else the machine does, themselves included. Not at once: most waits are shorter than waking.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "4000")  # of libgomp: about a tenth of a millisecond

#: Public name -> the file that holds it, loaded on first use: `import spk2loihi` is quick.
_HOMES = {
    **dict.fromkeys(("convert", "derive_price", "inspect", "load", "run", "simulate", "train", "verify"), "api"),
    "RunConfig": "network.run_config",
    "SpikeRun": "analysis.spike_run",
    "SpikingNetwork": "analysis.spiking_network",
}
#: Functions of the library whose names are also those of folders.
_FOLDERS = ("energy", "export", "fit", "sweep")

__all__ = [
    "RunConfig",
    "SpikeRun",
    "SpikingNetwork",
    "UserError",
    "__version__",
    "convert",
    "derive_price",
    "energy",
    "export",
    "fit",
    "inspect",
    "load",
    "run",
    "simulate",
    "sweep",
    "train",
    "verify",
]


class _CallableFolder(ModuleType):
    """A folder that shares its name with a function: ``spk2loihi.energy(net)`` calls `spk2loihi.api.energy`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    @property
    def _function(self) -> Any:
        return getattr(import_module("spk2loihi.api"), self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(self._function)


class _Package(ModuleType):
    """This package, which makes those folders callable as they are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FOLDERS and isinstance(value, ModuleType):
            value.__class__ = _CallableFolder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("spk2loihi")
    if name in _FOLDERS:
        return import_module(f"spk2loihi.{name}")
    if name in _HOMES:
        return getattr(import_module(f"spk2loihi.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'spk2loihi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
