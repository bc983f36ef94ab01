"""A streamed network as a graph of processes that Intel ships for Loihi 2: built, stepped, and bundled for a board.

Nothing here needs Lava: the graph is data. `spk2loihi.simulators.lava` makes Lava's processes of it.
"""

from spk2loihi.chip.build_graph import build_graph
from spk2loihi.chip.process_graph import Connection, Graph, Population
from spk2loihi.chip.sentence_stream import SentenceStream, host_payloads
from spk2loihi.chip.stepper import Recording, Stepper, Tape

__all__ = [
    "Connection",
    "Graph",
    "Population",
    "Recording",
    "SentenceStream",
    "Stepper",
    "Tape",
    "build_graph",
    "host_payloads",
]
