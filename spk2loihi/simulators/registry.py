"""Backends by name."""

from __future__ import annotations

from collections.abc import Callable

from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Backend

Factory = Callable[[Network, RunConfig], Backend]


def _emulator(network: Network, config: RunConfig) -> Backend:
    from spk2loihi.simulators.emulator.emulator import Emulator
    from spk2loihi.simulators.emulator.settling_emulator import SettlingEmulator

    return (SettlingEmulator if config.schedule == "settling" else Emulator)(network, config)


def _stepped(network: Network, config: RunConfig) -> Backend:
    from spk2loihi.simulators.emulator.emulator import Emulator

    if config.schedule == "settling":  # is always stepped
        return _emulator(network, config)
    if config.schedule == "streamed":
        from spk2loihi.simulators.emulator.stepped_stream import SteppedStream

        return SteppedStream(network, config)
    return Emulator(network, config, engine="stepped")


def _cpu(network: Network, config: RunConfig) -> Backend:
    from spk2loihi.simulators.lava import LavaBackend, LavaStream

    if config.schedule == "streamed":
        return LavaStream(network, config)
    return LavaBackend(network, config)


def _loihi2(network: Network, config: RunConfig) -> Backend:
    from spk2loihi.simulators.lava import Loihi2Backend, Loihi2Stream

    if config.schedule == "streamed":
        return Loihi2Stream(network, config)
    return Loihi2Backend(network, config)


#: ``stepped`` is the emulator that steps every neuron through time.
BACKENDS: dict[str, Factory] = {"emulator": _emulator, "stepped": _stepped, "cpu": _cpu, "loihi2": _loihi2}


def create_backend(name: str, network: Network, config: RunConfig | None = None) -> Backend:
    """The backend called ``name``, running ``network`` as ``config`` says, or as the network file does.

    Raises:
        UserError: unknown name, missing software or hardware, or a configuration the network cannot run.
    """
    if name not in BACKENDS:
        raise UserError(f"backend {name!r} is not known: choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name](network, config or network.defaults)
