"""Networks of other frameworks, through NIR files, as netx files.

NIR (https://neuroir.org) describes neurons by differential equations of real numbers; netx by integers. A graph is
planned as populations in levels (`nir_plan`), those become layers of a chain (`nir_layers`), and their numbers become
integers (`quantise`), each with its error. What differs from the equations beside that:

- Each level answers one step later than in NIR. Biases act from the first step on, before anything arrives.
- Each step of a leak is rounded towards zero to 1/64 of a unit, which is Loihi's leak.
- A constant input of `CubaLIF` acts at once, where NIR's current approaches it.
- Neurons start at their reset potential, and what a step loses is lost before it adds (forward Euler).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import Write
from spk2loihi.hdf5 import Group, hdf5_writer, read_hdf5
from spk2loihi.netx.nir_file import read_graph
from spk2loihi.netx.nir_layers import chain_layers
from spk2loihi.netx.nir_notes import notes_of
from spk2loihi.netx.nir_plan import plan_graph
from spk2loihi.netx.nir_populations import Plan
from spk2loihi.netx.quantise import NumberError, QuantisedLayer, Scale, quantise_layer
from spk2loihi.netx.reading import Reading
from spk2loihi.netx.scales import IntArray
from spk2loihi.results import CONVERTED_MARK

Layer = dict[str, Any]


@dataclass(frozen=True)
class NirConversion:
    """A NIR file as a netx chain.

    Attributes:
        plan: the graph; its equations are what the integers stand for.
        layers: of the netx file, from 0: names and arrays of each group.
        scales: of each population.
        errors: of every number that is not whole.
        notes: what a reader of the results should know.
    """

    plan: Plan
    reading: Reading
    layers: list[Layer]
    scales: list[Scale]
    errors: list[NumberError]
    notes: list[str]

    @property
    def writer(self) -> Write:
        """Of the netx file."""

        def fill(file: h5py.File) -> None:
            file.attrs["generator"] = np.bytes_(CONVERTED_MARK)
            for number, layer in enumerate(self.layers):
                for name, value in layer.items():
                    if isinstance(value, dict):
                        for key, each in value.items():
                            file[f"layer/{number}/{name}/{key}"] = each
                    else:
                        file[f"layer/{number}/{name}"] = value

        return hdf5_writer(fill)

    def summary(self) -> dict[str, Any]:
        """What every command's ``--json`` says of it, under ``reading``: options, the worst weight, notes."""
        weights = [error for error in self.errors if error.number.endswith("weight")]
        worst = max(weights, key=lambda error: error.rms, default=None)
        return {
            **asdict(self.reading),
            "largest_error": None if worst is None else asdict(worst),
            "notes": self.notes,
        }

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``convert --json``."""
        return {
            **asdict(self.reading),
            "levels": self.plan.depth,
            "populations": [asdict(scale) for scale in self.scales],
            "errors": [asdict(error) for error in self.errors],
            "notes": self.notes,
        }


def convert_nir(source: Path | Group, reading: Reading | None = None) -> NirConversion:
    """A NIR file as a netx chain, which runs on every backend and in the stock loader.

    Shapes of NIR, (channel, y, x), are those of netx files; `StockNetwork` and Lava reverse them.

    Raises:
        UserError: the file cannot be read, or Loihi's neurons cannot do what a node does.
    """
    reading = reading or Reading()
    tree = source if isinstance(source, Group) else read_hdf5(source, "NIR file", "write it with nir.write")
    try:
        plan = plan_graph(read_graph(tree), reading.dt, reading.exact)
        made = [quantise_layer(layer, reading) for layer in chain_layers(plan)]
        layers = [{"type": _text("input"), "shape": np.array(_planes(plan.input_shape), np.int64)}]
        for layer in made:
            layers += _netx_layers(layer)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"NIR file {tree.file} is damaged ({first_line(error)}): write it with nir.write") from None
    scales = [scale for layer in made for scale in layer.scales]
    errors = [error for layer in made for error in layer.errors]
    return NirConversion(plan, reading, layers, scales, errors, notes_of(plan, reading, scales))


def _netx_layers(layer: QuantisedLayer) -> list[Layer]:
    """One, or with a flatten before it two."""
    source, before = layer.source, []
    if source.after_flatten:
        before = [{"type": _text("flatten"), "shape": np.array([np.prod(source.map.input_shape)], np.int64)}]
    kernel = source.map.is_kernel
    shape = _planes(source.map.output_shape) if kernel else (source.neurons,)
    neuron = {
        "type": np.array(b"CUBA"),
        "iDecay": _lava_order(layer.current_decay, shape),
        "vDecay": _lava_order(layer.voltage_decay, shape),
        "vThMant": _lava_order(layer.threshold, shape),
        "refDelay": 1,
    }
    made: Layer = {
        "type": _text("conv" if kernel else "dense" if layer.recurrent is None else "dense_rec"),
        "shape": np.array(shape, np.int64),
        "weight": layer.weight,
        "neuron": neuron,
    }
    if layer.recurrent is not None:
        made["weight_rec"] = layer.recurrent
    if layer.bias.any():
        made["bias"] = layer.bias.reshape(shape).T if len(shape) == 3 else layer.bias
    if kernel:
        pairs = {name: np.array(getattr(source.map, name)) for name in ("stride", "padding", "dilation")}
        made |= {**pairs, "groups": source.map.groups, "inChannels": source.map.filled.shape[1] * source.map.groups}
    elif source.map.delay is not None:
        made["delay"] = np.broadcast_to(source.map.delay, layer.weight.shape).astype(np.int64)
    return [*before, made]


def _planes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(channel, y, x) of what has a space of one axis or two."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def _lava_order(values: IntArray, shape: tuple[int, ...]) -> NDArray[Any]:
    """One number if all are the same, else (x, y, channel) or (neurons,), to which Lava broadcasts them."""
    return values[0] if (values == values[0]).all() else values.reshape(shape).T


def _text(kind: str) -> NDArray[Any]:
    return np.array([kind.encode()], dtype="S10")
