"""Partitions that Intel's compiler made and lava-dl published, beside those of `spk2loihi.fit.partition`.

They are the outputs committed with lava-dl's tutorials (tutorials/lava/lib/dl/netx), runs on Loihi 2. Shapes and weight
widths of PilotNet LIF are those of `pilotnet_lif/network.net` in the lava-dl wheel, those of PilotNet SDNN, MNIST and
Oxford of the files beside the notebooks. The weights of YOLO-KP are not public: the widths are what its shares of
synaptic memory allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spk2loihi.fit.boards import find_board
from spk2loihi.fit.file_populations import layer_population
from spk2loihi.fit.partition import place
from spk2loihi.fit.population import Input, Population
from spk2loihi.limits import BIAS_BITS, MEMBRANE_BITS


@dataclass(frozen=True)
class PublishedLayer:
    """A layer and what the compiler made of it.

    Attributes:
        shape: (x, y, channels) of an input or a convolution, (neurons,) of a dense layer.
        lists: synapse lists: positions of the kernel times input channels, or the inputs of a dense layer; 0: none.
        bits: of a stored weight.
        tile: neurons on a core, where the table has them as a shape.
    """

    name: str
    shape: tuple[int, ...]
    lists: int
    bits: int
    cores: int
    tile: tuple[int, int, int] | None = None

    @property
    def population(self) -> Population:
        inputs = (Input("", self.lists, False, self.bits, self.lists * self.shape[-1]),) if self.lists else ()
        return layer_population(self.name, self.shape, inputs, MEMBRANE_BITS + BIAS_BITS, dense=len(self.shape) == 1)


@dataclass(frozen=True)
class PublishedPartition:
    """A table of one notebook; ``board`` as named by `find_board`."""

    name: str
    notebook: str
    board: str
    layers: tuple[PublishedLayer, ...]

    @property
    def cores(self) -> int:
        return sum(layer.cores for layer in self.layers)


PARTITIONS = (
    PublishedPartition(
        "PilotNet LIF", "pilotnet_snn/benchmark.ipynb", "oheo-gulch",
        (
            PublishedLayer("input", (200, 66, 3), 0, 0, 13, (16, 66, 3)),
            PublishedLayer("conv 1", (99, 32, 24), 27, 5, 25, (4, 32, 24)),
            PublishedLayer("conv 2", (49, 15, 36), 216, 4, 13, (4, 15, 36)),
            PublishedLayer("conv 3", (24, 7, 48), 324, 4, 3, (8, 7, 48)),
            PublishedLayer("conv 4", (22, 4, 64), 432, 4, 3, (8, 4, 64)),
            PublishedLayer("conv 5", (20, 2, 64), 576, 4, 2, (16, 2, 64)),
            PublishedLayer("dense 1", (100,), 2560, 3, 12),
            PublishedLayer("dense 2", (50,), 100, 4, 1),
            PublishedLayer("dense 3", (10,), 50, 5, 1),
            PublishedLayer("dense 4", (1,), 10, 6, 1),
        ),
    ),
    PublishedPartition(
        "PilotNet SDNN", "pilotnet_sdnn/benchmark.ipynb", "oheo-gulch",
        (
            PublishedLayer("conv 1", (99, 32, 24), 27, 6, 25, (4, 32, 24)),
            PublishedLayer("conv 2", (49, 15, 36), 216, 5, 13, (4, 15, 36)),
            PublishedLayer("conv 3", (24, 7, 48), 324, 4, 3, (8, 7, 48)),
            PublishedLayer("conv 4", (22, 4, 64), 432, 5, 3, (8, 4, 64)),
            PublishedLayer("conv 5", (20, 2, 64), 576, 4, 2, (16, 2, 64)),
            PublishedLayer("dense 1", (100,), 2560, 4, 12),
            PublishedLayer("dense 2", (50,), 100, 6, 1),
            PublishedLayer("dense 3", (10,), 50, 5, 1),
            PublishedLayer("dense 4", (1,), 10, 4, 1),
        ),
    ),
    PublishedPartition(
        "YOLO-KP", "yolo_kp/run.ipynb", "kapoho-point",
        (
            PublishedLayer("conv 1", (224, 224, 16), 27, 7, 224, (8, 28, 16)),
            PublishedLayer("conv 2", (112, 112, 32), 144, 7, 112, (8, 14, 32)),
            PublishedLayer("conv 3", (56, 56, 64), 288, 5, 56, (4, 14, 64)),
            PublishedLayer("conv 4", (28, 28, 128), 576, 5, 28, (4, 7, 128)),
            PublishedLayer("conv 5", (28, 28, 256), 1152, 5, 56, (4, 7, 128)),
            PublishedLayer("conv 6", (14, 14, 256), 2304, 4, 16, (8, 7, 64)),
            PublishedLayer("conv 7", (14, 14, 512), 2304, 5, 32, (8, 7, 64)),
            PublishedLayer("conv 8", (14, 14, 256), 512, 5, 14, (2, 7, 256)),
            PublishedLayer("conv 9", (14, 14, 512), 2304, 5, 32, (8, 7, 64)),
            PublishedLayer("conv 10", (14, 14, 48), 512, 7, 4, (4, 14, 48)),
        ),
    ),
    PublishedPartition(
        "MNIST", "mnist/run.ipynb", "kapoho-point",
        (
            PublishedLayer("dense 1", (128,), 784, 8, 3),
            PublishedLayer("dense 2", (64,), 128, 8, 1),
            PublishedLayer("dense 3", (10,), 64, 8, 1),
        ),
    ),
    PublishedPartition(
        "Oxford", "oxford/run.ipynb", "oheo-gulch",
        (
            PublishedLayer("dense 1", (256,), 200, 8, 3),
            PublishedLayer("dense 2", (200,), 256, 7, 2),
        ),
    ),
)  # fmt: skip


def compared() -> Iterator[dict[str, Any]]:
    """One row a layer: network, layer, shape, cores (of the compiler), ours, binding_limit."""
    for partition in PARTITIONS:
        board = find_board(partition.board)
        for layer in partition.layers:
            placement = place(layer.population, board)
            yield {
                "network": partition.name,
                "layer": layer.name,
                "shape": list(layer.shape),
                "cores": layer.cores,
                "ours": placement.cores,
                "binding_limit": None if placement.binding is None else placement.binding.limit,
            }
