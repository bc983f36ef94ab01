"""Write `model.net`: netx HDF5 with this project's extension."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.files import write_atomically
from spk2loihi.hdf5 import hdf5_writer
from spk2loihi.limits import THRESHOLD_MAX
from spk2loihi.network.layout import CHECKSUM, EXTENSION, RECURRENT, file_record, seal
from spk2loihi.network.network import Network, Stage

_NO_LEAK_CURRENT = 4096  # iDecay: the synaptic current lasts one step, so the membrane integrates it


def write_network(network: Network, path: Path) -> None:
    """Write atomically: the file is complete or it is not there."""
    write_atomically(path, hdf5_writer(lambda file: _fill(file, network)))


def _fill(file: h5py.File, network: Network) -> None:
    extension = file.create_group(EXTENSION)
    extension["meta"] = _text(json.dumps(file_record(network)))
    extension["tokenizer"] = _text(network.tokenizer)
    for name in ("word", "position", "token_type"):
        _array(extension, f"embedding/{name}", getattr(network.embedding, name))
    layers = _Layers(file, network)
    for stage in network.stages:
        layers.write(stage)
    extension.attrs[CHECKSUM] = np.bytes_(seal(file))


class _Layers:
    """Writes stages as netx layers, numbered from 0; a stage with two sources is preceded by a `concat` layer."""

    def __init__(self, file: h5py.File, network: Network) -> None:
        self.root = file.create_group("layer")
        self.network = network
        self.number: dict[str, int] = {}

    def write(self, stage: Stage) -> None:
        if stage.attention is not None:
            group = self._layer("attention", stage.channels)
            group["layers"] = np.array([self.number[stage.attention.left], self.number[stage.attention.right]])
            if stage.bias is not None:
                _array(group, "bias", stage.bias)
            if stage.relative is not None:
                _array(group, f"{EXTENSION}/relative", stage.relative)
        elif not stage.synapses:
            group = self._layer("input", stage.channels)
        else:
            group = self._conv(stage)
        if stage.synapses or stage.attention is not None:
            self._neuron(group, stage)
        group[f"{EXTENSION}/meta"] = _text(json.dumps(stage.to_dict()))
        self.number[stage.name] = int(group.name.rsplit("/", 1)[-1])

    def _layer(self, kind: str, channels: int) -> h5py.Group:
        group = self.root.create_group(str(len(self.root)))
        group["type"] = np.array([kind.encode()], dtype="S10")
        group["shape"] = np.array([channels, 1, self.network.max_tokens])  # (z, y, x): netx reverses it
        return group

    def _conv(self, stage: Stage) -> h5py.Group:
        sources = [self.number[g.source] for g in stage.forward]
        weight = np.concatenate([np.diag(g.weight) if g.one_to_one else g.weight for g in stage.forward], axis=1)
        if len(sources) > 1:
            concat = self._layer("concat", weight.shape[1])
            concat["layers"] = np.array(sources)
        group = self._layer("conv" if stage.feedback is None else RECURRENT, stage.channels)
        if len(sources) == 1:
            group["layers"] = np.array(sources)
        _array(group, "weight", weight[:, :, None, None])  # (d_out, d_in, 1, 1)
        if stage.feedback is not None:
            _array(group, "weight_rec", stage.feedback.weight[:, :, None, None])  # (d, d, 1, 1)
        _array(group, "bias", stage.bias)
        group["inChannels"], group["outChannels"] = weight.shape[1], weight.shape[0]
        group["kernelSize"] = group["stride"] = group["dilation"] = np.array([1, 1])
        group["padding"] = np.array([0, 0])
        group["groups"] = 1
        return group

    def _neuron(self, group: h5py.Group, stage: Stage) -> None:
        neuron = group.create_group("neuron")
        neuron["type"] = np.array([b"CUBA"], dtype="S10")
        neuron["iDecay"], neuron["vDecay"], neuron["refDelay"] = _NO_LEAK_CURRENT, self.network.decay, 1
        neuron["vThMant"] = stage.threshold if stage.fires else THRESHOLD_MAX
        neuron["gradedSpike"] = False


def _text(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _array(group: h5py.Group, name: str, array: Any) -> None:
    """Store integers in the narrowest signed type that holds them, compressed."""
    largest = max(int(array.max(initial=0)), -int(array.min(initial=0)) - 1)
    dtype = next(t for t in (np.int8, np.int16, np.int32, np.int64) if largest <= np.iinfo(t).max)
    group.create_dataset(name, data=array.astype(dtype), compression="gzip", compression_opts=4, shuffle=True)
