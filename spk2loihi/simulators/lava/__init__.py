"""The Lava backends: the same network as the emulator, spike for spike, on Intel's Lava runtime.

Importing this package needs no Lava; making a backend does.
"""

from spk2loihi.simulators.lava.lava_backend import LavaBackend, Loihi2Backend
from spk2loihi.simulators.lava.stream_backend import LavaStream, Loihi2Stream

__all__ = ["LavaBackend", "LavaStream", "Loihi2Backend", "Loihi2Stream"]
