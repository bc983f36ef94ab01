"""Backends by name."""

from __future__ import annotations

from collections.abc import Callable

from spk2loihi.errors import UserError
from spk2loihi.network.network import Encoding, Network, Schedule
from spk2loihi.simulators.backend import Backend


def _emulator(network: Network, schedule: Schedule, encoding: Encoding, steps: int | None) -> Backend:
    from spk2loihi.simulators.emulator.emulator import Emulator
    from spk2loihi.simulators.emulator.settling_emulator import SettlingEmulator

    if schedule == "settling":
        return SettlingEmulator(network, schedule, encoding, steps)
    return Emulator(network, schedule, encoding, steps)


def _stepped(network: Network, schedule: Schedule, encoding: Encoding, steps: int | None) -> Backend:
    from spk2loihi.simulators.emulator.emulator import Emulator

    if schedule == "settling":  # is always stepped
        return _emulator(network, schedule, encoding, steps)
    return Emulator(network, schedule, encoding, steps, engine="stepped")


def _cpu(network: Network, schedule: Schedule, encoding: Encoding, steps: int | None) -> Backend:
    from spk2loihi.simulators.lava import LavaBackend

    return LavaBackend(network, schedule, encoding, steps)


def _loihi2(network: Network, schedule: Schedule, encoding: Encoding, steps: int | None) -> Backend:
    from spk2loihi.simulators.lava import Loihi2Backend

    return Loihi2Backend(network, schedule, encoding, steps)


#: name -> factory; ``stepped`` is the emulator that steps every neuron through time.
BACKENDS: dict[str, Callable[[Network, Schedule, Encoding, int | None], Backend]] = {
    "emulator": _emulator,
    "stepped": _stepped,
    "cpu": _cpu,
    "loihi2": _loihi2,
}


def create_backend(
    name: str,
    network: Network,
    schedule: Schedule | None = None,
    encoding: Encoding | None = None,
    steps: int | None = None,
) -> Backend:
    """A backend running ``network`` with the file's own schedule and encoding unless told otherwise.

    Raises:
        UserError: unknown name, missing software or hardware, or an undefined combination.
    """
    if name not in BACKENDS:
        raise UserError(f"backend {name!r} is not known: choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name](network, schedule or network.schedule, encoding or network.encoding, steps)
