"""The integer network: what it is, what bounds it, how it runs in time, and its file."""

from spk2loihi.network.network import Network, Stage
from spk2loihi.network.reader import read_network
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.network.writer import write_network

__all__ = ["Network", "RunConfig", "Stage", "Timeline", "read_network", "write_network"]
