"""Where a network would lie: the partition of `spk2loihi.fit`, as a report tells it and as times need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spk2loihi.fit import Board, check_fit, check_stream_fit, populations
from spk2loihi.network.network import Network

_TOLD = ("board", "fits", "cores", "cores_available", "chips", "chips_available")


def place_network(network: Network, board: Board) -> dict[str, Any]:
    """The data of `spk2loihi.fit` for any network of this project."""
    return check_stream_fit(network, board) if network.streamed else check_fit(populations(network), board)


def told(data: Mapping[str, Any]) -> dict[str, Any]:
    """``fit`` of a report."""
    return {**{key: data[key] for key in _TOLD}, "refused": [one["layer"] for one in data["refused"]]}


def cores_of(data: Mapping[str, Any]) -> dict[str, int]:
    """Cores of each stage; 0 where not one of its neurons fits."""
    return {layer["name"]: layer["cores"] for layer in data["layers"]}
