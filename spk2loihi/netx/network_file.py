"""A network file of any kind: this project's own, a netx file, or a NIR file, told apart by what is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from spk2loihi.errors import UserError
from spk2loihi.files import write_atomically
from spk2loihi.hdf5 import Group, hdf5_writer, read_hdf5, write_tree
from spk2loihi.network.layout import EXTENSION
from spk2loihi.netx.hdf5_access import Shape, layer_groups, open_netx, shape_of, type_of
from spk2loihi.netx.segments import smallest_input
from spk2loihi.netx.stock_network import StockNetwork
from spk2loihi.temporary_files import temporary_folder

Format = Literal["netx", "NIR"]


def is_own(tree: Group) -> bool:
    """Whether `spk2loihi export` wrote it: netx does not say how such a network runs, its extension group does."""
    return EXTENSION in tree


def read_tree(path: Path) -> Group:
    """Everything in a network file of any kind.

    Raises:
        UserError: missing, not HDF5, damaged, or no network.
    """
    tree = read_hdf5(path, "network file", "write it with spk2loihi export model.pt, or name a netx or NIR file")
    if not any(name in tree for name in (EXTENSION, "node", "layer")):
        raise UserError(
            f"network file {path} holds no network, neither netx layers (/layer) nor a NIR graph (/node): name a file "
            "of spk2loihi export, lava-dl or nir.write"
        )
    return tree


@dataclass(frozen=True)
class NetworkFile:
    """A netx or NIR file that this project did not write.

    Attributes:
        format: of the file.
        tree: as netx holds it; what a NIR file becomes.
    """

    path: Path
    format: Format
    tree: Group

    @classmethod
    def of(cls, path: Path, tree: Group | None = None) -> NetworkFile:
        """Args:
            tree: what `read_tree` found there; read if not given.

        Raises:
            UserError: it cannot be read, is a network of this project, or a NIR node has no exact integer meaning.
        """
        tree = read_tree(path) if tree is None else tree
        if is_own(tree):
            raise UserError(
                f"{path} is a network of spk2loihi export, which reads sentences: use spk2loihi simulate {path}"
            )
        if "node" not in tree:
            return cls(path, "netx", tree)
        from spk2loihi.netx.nir_reader import nir_to_netx

        with temporary_folder() as folder:
            netx = folder / "network.net"
            nir_to_netx(tree, netx)
            return cls(path, "NIR", open_netx(netx))

    @property
    def groups(self) -> list[Group]:
        """Its netx layers, by number."""
        return layer_groups(self.tree)

    @property
    def needs_input_shape(self) -> bool:
        """It begins with a convolution, and nothing else in it says how large its input is."""
        return type_of(self.groups[0]) == "conv"

    def network(self, **options: Any) -> StockNetwork:
        """Ready to run. Options as of `StockNetwork.from_file`.

        A convolution at the start takes the smallest input that makes its output, if no ``input_shape`` is given.
        """
        if self.needs_input_shape and options.get("input_shape") is None:
            options["input_shape"] = self._smallest_input()
        return StockNetwork.from_file(self.tree, **options)

    def _smallest_input(self) -> Shape:
        group = self.groups[0]
        return smallest_input(group, 0, shape_of(group, 0))

    @contextlib.contextmanager
    def as_netx(self) -> Iterator[Path]:
        """A file that the stock loader takes: the file itself, or what a NIR file becomes, for as long as this runs."""
        if self.format == "netx":
            yield self.path
            return
        with temporary_folder() as folder:
            netx = folder / "network.net"

            def fill(file: h5py.File) -> None:
                write_tree(self.tree, file)

            write_atomically(netx, hdf5_writer(fill))
            yield netx
