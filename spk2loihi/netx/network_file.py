"""A network file of any kind: this project's own, a netx file, or a NIR file, told apart by what is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py

from spk2loihi.errors import UserError
from spk2loihi.files import write_atomically
from spk2loihi.hdf5 import Group, hdf5_writer, read_hdf5, write_tree
from spk2loihi.network.layout import EXTENSION
from spk2loihi.netx.hdf5_access import Shape, layer_groups, open_netx, shape_of, type_of
from spk2loihi.netx.reading import Reading, reading_of
from spk2loihi.netx.segments import smallest_input
from spk2loihi.netx.stock_network import StockNetwork
from spk2loihi.temporary_files import temporary_folder

if TYPE_CHECKING:
    from spk2loihi.netx.nir_reader import NirConversion

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
        held: everything in it.
        reading: how a NIR file becomes integers; None of a netx file.
    """

    path: Path
    format: Format
    held: Group
    reading: Reading | None = None

    @classmethod
    def of(cls, path: Path, tree: Group | None = None, reading: Reading | None = None) -> NetworkFile:
        """Args:
            tree: what `read_tree` found there; read if not given.
            reading: of a NIR file, if not the usual one.

        Raises:
            UserError: it cannot be read, is a network of this project, or is a netx file with a reading.
        """
        tree = read_tree(path) if tree is None else tree
        if is_own(tree):
            raise UserError(
                f"{path} is a network of spk2loihi export, which reads sentences: use spk2loihi simulate {path}"
            )
        file = cls(path, "NIR", tree, reading_of()) if "node" in tree else cls(path, "netx", tree)
        return file if reading is None else file.read_as(reading)

    def read_as(self, reading: Reading) -> NetworkFile:
        """A NIR file, read in another way.

        Raises:
            UserError: a netx file, whose numbers are whole, has but one.
        """
        if reading in (reading_of(), self.reading):  # nothing is asked for, or what is there
            return self
        if self.format == "netx":
            name = next(each.name for each in fields(reading) if getattr(reading, each.name) != each.default)
            raise UserError(f"`{name}` is for NIR files, but {self.path} is a netx file of integers: leave it out")
        return replace(self, reading=reading)

    @cached_property
    def conversion(self) -> NirConversion | None:
        """What a NIR file becomes; None of a netx file.

        Raises:
            UserError: Loihi's neurons cannot do what a node does.
        """
        from spk2loihi.netx.nir_reader import convert_nir

        return None if self.format == "netx" else convert_nir(self.held, self.reading)

    @property
    def summary(self) -> dict[str, Any] | None:
        """How a NIR file became integers (`NirConversion.summary`); None of a netx file."""
        return None if self.conversion is None else self.conversion.summary()

    @cached_property
    def tree(self) -> Group:
        """As netx holds it; what a NIR file becomes."""
        if self.conversion is None:
            return self.held
        with temporary_folder() as folder:
            netx = folder / "network.net"
            write_atomically(netx, self.conversion.writer)
            return open_netx(netx)

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
