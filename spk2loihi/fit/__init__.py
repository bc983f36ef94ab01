"""Does the network fit on Loihi 2: limits of cores, chips and boards, and the partition of a network over them."""

from spk2loihi.fit.boards import BOARDS, DEFAULT_BOARD, Board, find_board
from spk2loihi.fit.check_fit import FitReport, check_fit
from spk2loihi.fit.population import Population, populations
from spk2loihi.fit.stream_fit import check_stream_fit

__all__ = [
    "BOARDS",
    "DEFAULT_BOARD",
    "Board",
    "FitReport",
    "Population",
    "check_fit",
    "check_stream_fit",
    "find_board",
    "populations",
]
