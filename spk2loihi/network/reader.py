"""Read `model.net` and refuse anything but what was written: version, checksums, types, ranges, shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from spk2loihi.errors import UserError, first_line
from spk2loihi.hdf5 import Group, read_hdf5
from spk2loihi.limits import WEIGHT_MAX, WEIGHT_MIN
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.file_meta import FileMeta, Provenance, StageMeta, checked
from spk2loihi.network.layout import CHECKSUM, EXTENSION, FORMAT, VERSION, array_digest, list_digest, neuron_rules
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.network_checks import check_values, check_wiring
from spk2loihi.network.requantise import Requantise
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import soma_from_dict

Arrays = dict[str, NDArray[Any]]


def read_network(path: Path, file: Group | None = None) -> Network:
    """The network in ``path``.

    Args:
        file: what is in it, if it was read already.

    Raises:
        UserError: missing, not HDF5, truncated, another version, damaged, float weights, or out of limits.
    """
    if file is None:
        file = read_hdf5(path, "network file", "write it with spk2loihi export model.pt")
    try:
        return check_limits(_read(file, path))
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:
        raise UserError(
            f"network file {path} is damaged or truncated ({first_line(error)}): write it again with spk2loihi export"
        ) from None


def _read(file: Group, path: Path) -> Network:
    if EXTENSION not in file:
        raise UserError(
            f"network file {path} is a netx file without the {EXTENSION} group that says how its neurons reset, and "
            "not written by spk2loihi export: use run, inspect, fit or verify, which take any netx or NIR file"
        )
    meta = _json(file.value(f"{EXTENSION}/meta"))
    if meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise UserError(
            f"network file {path} has format {meta.get('format')} version {meta.get('version')}, but this program "
            f"reads {FORMAT} version {VERSION}: export it again or use the matching spk2loihi"
        )
    head = checked(meta, FileMeta, "metadata")
    if meta["neuron"] != neuron_rules(head.schedule == "streamed", head.decay):
        raise UserError(f"network file {path} has neurons with other rules ({meta['neuron']}): export it again")
    arrays = _checked_arrays(file, path)
    checked(meta["provenance"], Provenance, "provenance")
    tables = (arrays[f"{EXTENSION}/embedding/{name}"] for name in ("word", "position", "token_type"))
    layers = (f"layer/{i}" for i in range(len(file.group("layer").items)))
    made = [layer for layer in layers if f"{layer}/{EXTENSION}/meta" in arrays]
    stages = tuple(_stage(arrays, layer, path) for layer in made)
    for layer in made:
        if f"{layer}/neuron/vDecay" in arrays and _differs(arrays[f"{layer}/neuron/vDecay"], head.decay):
            raise ValueError(f"{layer}: vDecay differs from the decay {head.decay}")
    network = Network(
        timesteps=head.timesteps,
        max_tokens=head.max_tokens,
        stages=stages,
        embedding=Embedding(*(table.astype(np.int64) for table in tables)),
        tokenizer=_text(arrays[f"{EXTENSION}/tokenizer"]),
        task=head.task,
        config=head.config,
        weight_bits=meta["weight_bits"],
        defaults=_defaults(head),
        decay=head.decay,
        provenance=head.provenance,
    )
    check_wiring(network, path)
    check_values(network)
    return network


def _checked_arrays(file: Group, path: Path) -> Arrays:
    """Every dataset by name: integers or bytes that match their checksums, none added and none missing.

    netx reads weights with ``astype(int)``: floats would become zeros in silence.
    """
    arrays: Arrays = {}
    digests: dict[str, str] = {}
    for name, dataset in file.datasets():
        if dataset.kind not in "iubS":
            raise UserError(
                f"network file {path}: {name} holds {dataset.type_name} values, but netx takes integers only "
                "(it would round them to zero in silence): export the network with spk2loihi export"
            )
        arrays[name] = dataset.value
        digests[name] = array_digest(arrays[name])
        if dataset.attrs.get(CHECKSUM) != digests[name]:
            raise UserError(
                f"network file {path}: the checksum of {name} does not match its values, so the file was changed "
                "or damaged: export it again"
            )
    if file.group(EXTENSION).attrs.get(CHECKSUM) != list_digest(digests):
        raise UserError(f"network file {path}: data sets were added or removed after export: export it again")
    return arrays


def _defaults(head: FileMeta) -> RunConfig:
    try:
        config = RunConfig(cast(Any, head.schedule), cast(Any, head.encoding), head.steps, head.stagger)
        return config.check(head.timesteps, "streamed" if head.schedule == "streamed" else None)
    except UserError as error:
        raise ValueError(str(error)) from None


def _stage(arrays: Arrays, layer: str, path: Path) -> Stage:
    record = _json(arrays[f"{layer}/{EXTENSION}/meta"])
    meta = checked(record, StageMeta, f"{layer}, stage {record.get('name')!r:.60}")
    synapses: list[SynapseGroup] = []
    bias = None
    if meta.groups:
        weight, bias = arrays[f"{layer}/weight"], arrays[f"{layer}/bias"]
        if weight.ndim != 4 or weight.shape[2:] != (1, 1) or weight.shape[0] != meta.channels:
            raise ValueError(f"{meta.name}: weight {weight.shape} for {meta.channels} channels")
        if bias.shape != (meta.channels,):
            raise ValueError(f"{meta.name}: bias {bias.shape} for {meta.channels} channels")
        weight, bias = weight[:, :, 0, 0].astype(np.int64), bias.astype(np.int64)
        if weight.min(initial=0) < WEIGHT_MIN or weight.max(initial=0) > WEIGHT_MAX:
            raise UserError(
                f"network file {path}: weights of {meta.name} span {weight.min()} to {weight.max()}, outside "
                f"{WEIGHT_MIN} to {WEIGHT_MAX}: export it again"
            )
        synapses = _groups(meta, weight)
        if len(synapses) < len(meta.groups):
            synapses.append(_feedback(meta, arrays[f"{layer}/weight_rec"]))
    elif f"{layer}/bias" in arrays:
        bias = arrays[f"{layer}/bias"].astype(np.int64)
        if bias.shape != (meta.channels,):
            raise ValueError(f"{meta.name}: bias {bias.shape} for {meta.channels} channels")
    if meta.fires and _differs(arrays.get(f"{layer}/neuron/vThMant"), meta.threshold):
        raise ValueError(f"{meta.name}: vThMant differs from the threshold {meta.threshold}")
    exponent = None if meta.unit_exponent is None else np.array(meta.unit_exponent, dtype=np.int64)
    if exponent is not None and exponent.shape != (meta.channels,):
        raise ValueError(f"{meta.name}: {exponent.size} unit exponents for {meta.channels} channels")
    relative = arrays[f"{layer}/{EXTENSION}/relative"].astype(np.int64) if meta.relative else None
    return Stage(
        name=meta.name,
        depth=meta.depth,
        channels=meta.channels,
        threshold=meta.threshold,
        synapses=tuple(synapses),
        attention=None if meta.attention is None else Attention(**asdict(meta.attention)),
        heads=meta.heads,
        relative=relative,
        bias=bias,
        soma=soma_from_dict(meta.soma),
        requantise=_requantise(meta),
        signed=meta.signed,
        tokens=meta.tokens,
        fires=meta.fires,
        unit=meta.unit,
        unit_exponent=exponent,
    )


def _requantise(meta: StageMeta) -> Requantise | None:
    if meta.requantise is None:
        return None
    weight = np.array(meta.requantise.weight, dtype=np.int64)
    if weight.shape != (meta.channels,):
        raise ValueError(f"{meta.name}: {weight.size} requantising weights for {meta.channels} channels")
    return Requantise(weight, meta.requantise.shift, meta.requantise.relu, meta.requantise.limit)


def _differs(stored: NDArray[Any] | None, threshold: int) -> bool:
    return stored is not None and (stored.size != 1 or int(stored.reshape(-1)[0]) != threshold)


def _groups(meta: StageMeta, weight: NDArray[np.int64]) -> list[SynapseGroup]:
    """Part the columns of a netx weight into its synapse groups: at most one dense group, and one-to-one groups.

    A group from the stage itself, the last, is not among them.
    """
    forward = meta.groups[:-1] if meta.groups[-1].source == meta.name else meta.groups
    one_to_one = sum(g.one_to_one for g in forward)
    dense = weight.shape[1] - one_to_one * weight.shape[0]
    if len(forward) - one_to_one > 1 or dense < 0 or (dense > 0) == (len(forward) == one_to_one):
        raise ValueError(f"{meta.name}: {weight.shape[1]} inputs for {len(forward)} synapse groups")
    start, groups = 0, []
    for g in forward:
        width = weight.shape[0] if g.one_to_one else dense
        block = weight[:, start : start + width]
        if g.one_to_one and np.count_nonzero(block) != np.count_nonzero(np.diagonal(block)):
            raise ValueError(f"{meta.name}: synapses from {g.source} are not one to one")
        values = np.diagonal(block).copy() if g.one_to_one else block
        exponent = np.array(g.exponent, dtype=np.int64)
        if exponent.shape != (width,):
            raise ValueError(f"{meta.name}: {exponent.size} exponents for {width} inputs from {g.source}")
        groups.append(SynapseGroup(g.source, values, exponent, g.delay))
        start += width
    return groups


def _feedback(meta: StageMeta, weight: NDArray[Any]) -> SynapseGroup:
    group = meta.groups[-1]
    shape = (meta.channels, meta.channels, 1, 1)
    if weight.shape != shape or len(group.exponent) != meta.channels or group.one_to_one:
        raise ValueError(f"{meta.name}: feedback {weight.shape} for {meta.channels} channels")
    values = weight[:, :, 0, 0].astype(np.int64)
    return SynapseGroup(group.source, values, np.array(group.exponent, dtype=np.int64), group.delay)


def _text(array: NDArray[Any]) -> str:
    return bytes(array.tobytes()).decode("utf-8")


def _json(array: NDArray[Any]) -> dict[str, Any]:
    record = json.loads(_text(array))
    if not isinstance(record, dict):
        raise ValueError("metadata is not a JSON object")
    return record
