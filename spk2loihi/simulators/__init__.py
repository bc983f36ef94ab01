"""Backends that run a network, and the counters they share."""

from spk2loihi.simulators.backend import Backend, Run
from spk2loihi.simulators.registry import BACKENDS, create_backend
from spk2loihi.simulators.run_examples import simulate_examples, simulate_texts, verify_examples
from spk2loihi.simulators.simulate import Prediction, Simulation, encode, predict, simulate
from spk2loihi.simulators.verify import Verification, verify

__all__ = [
    "BACKENDS",
    "Backend",
    "Prediction",
    "Run",
    "Simulation",
    "Verification",
    "create_backend",
    "encode",
    "predict",
    "simulate",
    "simulate_examples",
    "simulate_texts",
    "verify",
    "verify_examples",
]
