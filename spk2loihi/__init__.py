"""Spiking language models from PyTorch to Loihi 2: train at equilibrium, export to netx, run spike for spike."""

from importlib.metadata import version

from spk2loihi.errors import UserError

__version__ = version("spk2loihi")
__all__ = ["UserError", "__version__"]
