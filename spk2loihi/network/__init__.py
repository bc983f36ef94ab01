"""The integer network, its file, and the way there from a trained student."""

from spk2loihi.network.network import Network, Stage, staggered
from spk2loihi.network.reader import read_network
from spk2loihi.network.writer import write_network

__all__ = ["Network", "Stage", "read_network", "staggered", "write_network"]
