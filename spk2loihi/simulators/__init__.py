"""Backends that run a network, and the counters they share."""

from spk2loihi.simulators.backend import Backend, Run
from spk2loihi.simulators.registry import BACKENDS, create_backend
from spk2loihi.simulators.simulate import Simulation, encode, simulate
from spk2loihi.simulators.verify import verify

__all__ = ["BACKENDS", "Backend", "Run", "Simulation", "create_backend", "encode", "simulate", "verify"]
