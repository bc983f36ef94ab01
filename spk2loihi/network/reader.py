"""Read `model.net` and refuse anything but what was written: version, checksums, types, ranges, shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.data import TaskSpec
from spk2loihi.errors import UserError
from spk2loihi.limits import TIMESTEPS_MAX, WEIGHT_BITS, WEIGHT_MAX, WEIGHT_MIN
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.layout import CHECKSUM, EXTENSION, FORMAT, NEURON_RULES, VERSION, array_digest, list_digest
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import soma_from_dict

Arrays = dict[str, NDArray[Any]]


def read_network(path: Path) -> Network:
    """The network in ``path``.

    Raises:
        UserError: missing, not HDF5, truncated, another version, damaged, float weights, or out of limits.
    """
    if not path.is_file():
        raise UserError(f"network file {path} does not exist: write it with spk2loihi export model.pt")
    if not h5py.is_hdf5(path):
        raise UserError(f"network file {path} is not an HDF5 file: write it with spk2loihi export model.pt")
    try:
        with h5py.File(path, "r") as file:
            return check_limits(_read(file, path))
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RuntimeError,
        MemoryError,
        OverflowError,
    ) as error:
        reason = str(error).strip("'\"").splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(
            f"network file {path} is damaged or truncated ({reason}): write it again with spk2loihi export"
        ) from None


def _read(file: h5py.File, path: Path) -> Network:
    if EXTENSION not in file:
        raise UserError(
            f"network file {path} is a netx file without the {EXTENSION} group that says how its neurons reset: "
            "only files written by spk2loihi export can be simulated"
        )
    meta = _json(file[f"{EXTENSION}/meta"][()])
    if meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise UserError(
            f"network file {path} has format {meta.get('format')} version {meta.get('version')}, but this program "
            f"reads {FORMAT} version {VERSION}: export it again or use the matching spk2loihi"
        )
    if meta["neuron"] != NEURON_RULES:
        raise UserError(f"network file {path} has neurons with other rules ({meta['neuron']}): export it again")
    arrays = _checked_arrays(file, path)
    tables = (arrays[f"{EXTENSION}/embedding/{name}"] for name in ("word", "position", "token_type"))
    layers = (f"layer/{i}" for i in range(len(file["layer"])))
    stages = tuple(_stage(arrays, layer, path) for layer in layers if f"{layer}/{EXTENSION}/meta" in arrays)
    network = Network(
        timesteps=int(meta["timesteps"]),
        max_tokens=int(meta["max_tokens"]),
        stages=stages,
        embedding=Embedding(*(table.astype(np.int64) for table in tables)),
        tokenizer=_text(arrays[f"{EXTENSION}/tokenizer"]),
        task=meta["task"],
        config=meta["config"],
        weight_bits=meta["weight_bits"],
        defaults=_defaults(meta),
        provenance=meta["provenance"],
    )
    _check_values(network)
    _check_wiring(network, path)
    return network


def _checked_arrays(file: h5py.File, path: Path) -> Arrays:
    """Every dataset by name, read once: integers or bytes that match their checksums, none added and none missing.

    netx reads weights with ``astype(int)``: floats would become zeros in silence.
    """
    arrays: Arrays = {}
    digests: dict[str, str] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.dtype.kind not in "iubS":
            raise UserError(
                f"network file {path}: {name} holds {item.dtype} values, but netx takes integers only "
                "(it would round them to zero in silence): export the network with spk2loihi export"
            )
        arrays[name] = np.asarray(item[()])
        digests[name] = array_digest(arrays[name])
        if item.attrs.get(CHECKSUM) != digests[name]:
            raise UserError(
                f"network file {path}: the checksum of {name} does not match its values, so the file was changed "
                "or damaged: export it again"
            )

    file.visititems(visit)
    if file[EXTENSION].attrs.get(CHECKSUM) != list_digest(digests):
        raise UserError(f"network file {path}: data sets were added or removed after export: export it again")
    return arrays


def _defaults(meta: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig(meta["schedule"], meta["encoding"], stagger=int(meta["stagger"])).check(int(meta["timesteps"]))
    except UserError as error:
        raise ValueError(str(error)) from None


def _stage(arrays: Arrays, layer: str, path: Path) -> Stage:
    meta = _json(arrays[f"{layer}/{EXTENSION}/meta"])
    channels = int(meta["channels"])
    synapses: list[SynapseGroup] = []
    bias = None
    if meta["groups"]:
        weight = arrays[f"{layer}/weight"][:, :, 0, 0].astype(np.int64)
        if weight.min(initial=0) < WEIGHT_MIN or weight.max(initial=0) > WEIGHT_MAX:
            raise UserError(
                f"network file {path}: weights of {meta['name']} span {weight.min()} to {weight.max()}, outside "
                f"{WEIGHT_MIN} to {WEIGHT_MAX}: export it again"
            )
        bias = arrays[f"{layer}/bias"].astype(np.int64)
        if bias.shape != (channels,) or weight.shape[0] != channels:
            raise ValueError(f"{meta['name']}: weight {weight.shape} and bias {bias.shape} for {channels} channels")
        synapses = _groups(meta, weight)
    fires = bool(meta["fires"])
    threshold = int(meta["threshold"])
    if fires and int(arrays.get(f"{layer}/neuron/vThMant", threshold)) != threshold:
        raise ValueError(f"{meta['name']}: vThMant differs from the threshold {threshold}")
    return Stage(
        name=meta["name"],
        depth=int(meta["depth"]),
        channels=channels,
        threshold=threshold,
        synapses=tuple(synapses),
        attention=None if meta["attention"] is None else Attention(**meta["attention"]),
        heads=int(meta["heads"]),
        bias=bias,
        soma=soma_from_dict(meta["soma"]),
        signed=bool(meta["signed"]),
        tokens=meta["tokens"],
        fires=fires,
        unit=float(meta["unit"]),
        unit_exponent=None if meta["unit_exponent"] is None else np.array(meta["unit_exponent"], dtype=np.int64),
    )


def _groups(meta: dict[str, Any], weight: NDArray[np.int64]) -> list[SynapseGroup]:
    """Part the columns of a netx weight into its synapse groups: at most one dense group, and one-to-one groups."""
    one_to_one = sum(g["one_to_one"] for g in meta["groups"])
    dense = weight.shape[1] - one_to_one * weight.shape[0]
    start, groups = 0, []
    for g in meta["groups"]:
        width = weight.shape[0] if g["one_to_one"] else dense
        block = weight[:, start : start + width]
        if g["one_to_one"] and np.count_nonzero(block) != np.count_nonzero(np.diagonal(block)):
            raise ValueError(f"{meta['name']}: synapses from {g['source']} are not one to one")
        values = np.diagonal(block).copy() if g["one_to_one"] else block
        exponent = np.array(g["exponent"], dtype=np.int64)
        if exponent.shape != (width,) or exponent.min(initial=0) < 0:
            raise ValueError(f"{meta['name']}: exponents of {g['source']} are not {width} numbers from 0")
        groups.append(SynapseGroup(g["source"], values, exponent, int(g["delay"])))
        start += width
    return groups


def _check_values(network: Network) -> None:
    """Raises ValueError for metadata no network can have."""
    if not 1 <= network.timesteps <= TIMESTEPS_MAX:
        raise ValueError(f"timesteps is {network.timesteps}")
    if not 3 <= network.max_tokens <= len(network.embedding.position):
        raise ValueError(f"max_tokens is {network.max_tokens}, with {len(network.embedding.position)} positions")
    if network.weight_bits not in WEIGHT_BITS:
        raise ValueError(f"weight_bits is {network.weight_bits}")
    if TaskSpec.from_dict(network.task).labels != network.task["labels"]:
        raise ValueError("the task has no labels")
    if len(network.task["labels"]) != network.readout.channels:
        raise ValueError(f"{len(network.task['labels'])} labels for {network.readout.channels} outputs")
    try:
        Tokenizer.from_str(network.tokenizer)
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"tokenizer: {error}") from None
    for stage in network.stages:
        if stage.tokens not in ("all", "first") or stage.heads < 1:
            raise ValueError(f"{stage.name}: tokens {stage.tokens}, heads {stage.heads}")
        if stage.attention is not None and network[stage.attention.right].channels % stage.heads:
            raise ValueError(f"{stage.name}: heads {stage.heads} do not divide its channels")
        arrays = {} if stage.soma is None else stage.soma.arrays()
        if any(array.shape != (stage.channels,) for array in arrays.values()):
            raise ValueError(f"{stage.name}: soma constants are not {stage.channels} numbers")


def _check_wiring(network: Network, path: Path) -> None:
    """Every source exists before its target and has the width its synapses expect."""
    seen: dict[str, Stage] = {}
    for stage in network.stages:
        for group in stage.synapses:
            width = group.weight.shape[-1]
            if group.source not in seen or seen[group.source].channels != width:
                raise UserError(
                    f"network file {path}: stage {stage.name} reads {width} channels of {group.source}, which are not "
                    "there: export it again"
                )
        if any(source not in seen for source in stage.sources):
            raise UserError(f"network file {path}: stage {stage.name} reads a stage that is not there: export it again")
        seen[stage.name] = stage
    if not network.stages or network.stages[-1].fires or network.stages[0].synapses:
        raise UserError(f"network file {path} does not begin with an embedding and end in a readout: export it again")


def _text(array: NDArray[Any]) -> str:
    return bytes(array.tobytes()).decode("utf-8")


def _json(array: NDArray[Any]) -> dict[str, Any]:
    record = json.loads(_text(array))
    if not isinstance(record, dict):
        raise ValueError("metadata is not a JSON object")
    return record
