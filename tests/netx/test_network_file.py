"""Which kind a network file is, and what of it is read."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.netx.dense import stored_bits
from spk2loihi.netx.network_file import NetworkFile, read_tree
from support.netx_files import conv, dense, inputs, write_netx


def nir_file(path: Path) -> Path:
    weight = np.array([[3.0, -2.0, 0.0], [1.0, 5.0, -4.0]])
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "fc": nir.Linear(weight),
        "neurons": nir.IF(r=np.full(2, 1e4), v_threshold=np.full(2, 6.0)),
        "output": nir.Output({"output": np.array([2])}),
    }
    nir.write(str(path), nir.NIRGraph(nodes, [("input", "fc"), ("fc", "neurons"), ("neurons", "output")]))
    return path


def test_kinds(tmp_path: Path) -> None:
    netx = NetworkFile.of(write_netx(tmp_path / "a.bin", dense(np.array([[3, -2, 0], [1, 5, -4]]))))
    other = NetworkFile.of(nir_file(tmp_path / "b.bin"))  # what is in it says so, not its name
    assert (netx.format, other.format) == ("netx", "NIR")
    assert netx.network().layers[0].existing == other.network().layers[0].existing == 5
    assert netx.network().layers[0].macs == 6


def test_a_nir_file_as_the_stock_loader_takes_it(tmp_path: Path) -> None:
    file = NetworkFile.of(nir_file(tmp_path / "b.nir"))
    given = np.random.default_rng(0).integers(0, 2, (1, 3, 9))
    with file.as_netx() as path:
        again = StockNetwork.from_file(path).run(given).output
    assert not path.exists()
    np.testing.assert_array_equal(again, file.network().run(given).output)
    assert again.any()


def test_no_network(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(UserError, match=r"data\.h5 holds no network, neither netx layers"):
        read_tree(tmp_path / "data.h5")
    (tmp_path / "text.net").write_text("no network")
    with pytest.raises(UserError, match="is not an HDF5 file"):
        read_tree(tmp_path / "text.net")
    with pytest.raises(UserError, match="does not exist"):
        read_tree(tmp_path / "none.net")


def test_smallest_input_of_a_convolution(tmp_path: Path) -> None:
    """5 x 4 outputs of a 3 x 2 kernel, stride (2, 1): 11 or 12 columns, of which 11 are taken, and 5 rows."""
    layer = conv(np.ones((3, 2, 2, 3), int), (5, 4, 3), stride=np.array([1, 2]))
    file = NetworkFile.of(write_netx(tmp_path / "conv.net", layer))
    assert file.needs_input_shape and file.network().input_shape == (11, 5, 2)
    assert file.network(input_shape=(12, 5, 2)).input_shape == (12, 5, 2)
    assert not NetworkFile.of(write_netx(tmp_path / "in.net", inputs(11, 5, 2), layer)).needs_input_shape


def test_stored_bits() -> None:
    assert [stored_bits(np.array(w)) for w in ([0], [-1, 0], [-128, 127], [-256, 254], [-256, 253], [255])] == [
        1, 1, 8, 8, 9, 8,
    ]  # fmt: skip
