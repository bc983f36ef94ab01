"""A whole tiny network and its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.network import write_network
from spk2loihi.network.network import Network
from support.network_files import whole_network


@pytest.fixture(scope="session")
def network() -> Network:
    return whole_network()


@pytest.fixture(scope="session")
def file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "model.net"
    write_network(network, path)
    return path
