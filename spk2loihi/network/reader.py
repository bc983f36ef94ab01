"""Read `model.net` and refuse anything but what was written: version, checksums, types, ranges, shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from spk2loihi.data import TaskSpec, read_tokenizer
from spk2loihi.errors import UserError, first_line
from spk2loihi.hdf5 import Group, read_hdf5
from spk2loihi.limits import WEIGHT_BITS, WEIGHT_MAX, WEIGHT_MIN
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.file_meta import Config, FileMeta, Provenance, StageMeta, checked
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
            f"network file {path} is a netx file without the {EXTENSION} group that says how its neurons reset: "
            "only files written by spk2loihi export can be simulated"
        )
    meta = _json(file.value(f"{EXTENSION}/meta"))
    if meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise UserError(
            f"network file {path} has format {meta.get('format')} version {meta.get('version')}, but this program "
            f"reads {FORMAT} version {VERSION}: export it again or use the matching spk2loihi"
        )
    if meta["neuron"] != NEURON_RULES:
        raise UserError(f"network file {path} has neurons with other rules ({meta['neuron']}): export it again")
    arrays = _checked_arrays(file, path)
    checked(meta["provenance"], Provenance, "provenance")
    head = checked(meta, FileMeta, "metadata")
    tables = (arrays[f"{EXTENSION}/embedding/{name}"] for name in ("word", "position", "token_type"))
    layers = (f"layer/{i}" for i in range(len(file.group("layer").items)))
    stages = tuple(_stage(arrays, layer, path) for layer in layers if f"{layer}/{EXTENSION}/meta" in arrays)
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
        provenance=head.provenance,
    )
    _check_wiring(network, path)
    _check_values(network)
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
        config = RunConfig(cast(Any, head.schedule), cast(Any, head.encoding), stagger=head.stagger)
        return config.check(head.timesteps)
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
    if meta.fires and _differs(arrays.get(f"{layer}/neuron/vThMant"), meta.threshold):
        raise ValueError(f"{meta.name}: vThMant differs from the threshold {meta.threshold}")
    exponent = None if meta.unit_exponent is None else np.array(meta.unit_exponent, dtype=np.int64)
    if exponent is not None and exponent.shape != (meta.channels,):
        raise ValueError(f"{meta.name}: {exponent.size} unit exponents for {meta.channels} channels")
    return Stage(
        name=meta.name,
        depth=meta.depth,
        channels=meta.channels,
        threshold=meta.threshold,
        synapses=tuple(synapses),
        attention=None if meta.attention is None else Attention(**asdict(meta.attention)),
        heads=meta.heads,
        bias=bias,
        soma=soma_from_dict(meta.soma),
        signed=meta.signed,
        tokens=meta.tokens,
        fires=meta.fires,
        unit=meta.unit,
        unit_exponent=exponent,
    )


def _differs(stored: NDArray[Any] | None, threshold: int) -> bool:
    return stored is not None and (stored.size != 1 or int(stored.reshape(-1)[0]) != threshold)


def _groups(meta: StageMeta, weight: NDArray[np.int64]) -> list[SynapseGroup]:
    """Part the columns of a netx weight into its synapse groups: at most one dense group, and one-to-one groups."""
    one_to_one = sum(g.one_to_one for g in meta.groups)
    dense = weight.shape[1] - one_to_one * weight.shape[0]
    if len(meta.groups) - one_to_one > 1 or dense < 0 or (dense > 0) == (len(meta.groups) == one_to_one):
        raise ValueError(f"{meta.name}: {weight.shape[1]} inputs for {len(meta.groups)} synapse groups")
    start, groups = 0, []
    for g in meta.groups:
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


def _check_wiring(network: Network, path: Path) -> None:
    """Stages in topological order: each reads what fires one window earlier, in the width its synapses expect."""
    seen: dict[str, Stage] = {}
    for stage in network.stages:
        if stage.name in seen:
            raise ValueError(f"stage {stage.name} is there twice")
        delays = {group.source: group.delay for group in stage.synapses}
        if stage.attention is not None:
            a = stage.attention
            delays = {a.left: a.left_delay, a.right: a.right_delay}
        for source, delay in delays.items():
            if source not in seen:
                raise UserError(
                    f"network file {path}: stage {stage.name} reads {source}, which is not there: export it again"
                )
            if stage.depth != seen[source].depth + 1 + delay or not seen[source].fires:
                raise ValueError(f"{stage.name}: depth {stage.depth} is not one window after {source}")
        for group in stage.synapses:
            width = group.weight.shape[-1]
            if seen[group.source].channels != width:
                raise UserError(
                    f"network file {path}: stage {stage.name} reads {width} channels of {group.source}, which has "
                    f"{seen[group.source].channels}: export it again"
                )
        if (stage.attention is None) == (not stage.synapses) and seen:
            raise ValueError(f"{stage.name}: a stage has either synapses or an attention product")
        seen[stage.name] = stage
    first, last = (network.stages[0], network.stages[-1]) if network.stages else (None, None)
    if first is None or last is None or first.sources or first.depth or last.fires or not last.synapses:
        raise UserError(f"network file {path} does not begin with an embedding and end in a readout: export it again")
    if last.tokens != "first" or any(stage.tokens == "first" and not stage.sources for stage in network.stages):
        raise ValueError(f"{last.name}: the readout does not read the [CLS] token")


def _check_values(network: Network) -> None:
    """Raises ValueError for metadata no network can have."""
    embedding = network.embedding
    for table in (embedding.word, embedding.position, embedding.token_type):
        if table.ndim != 2 or not len(table) or table.shape[1] != network.input.channels:
            raise ValueError(f"an embedding of shape {table.shape} for {network.input.channels} channels")
    if network.max_tokens > len(embedding.position):
        raise ValueError(f"max_tokens is {network.max_tokens}, with {len(embedding.position)} positions")
    if network.weight_bits not in WEIGHT_BITS:
        raise ValueError(f"weight_bits is {network.weight_bits}")
    if TaskSpec.from_dict(network.task).labels != network.task["labels"]:
        raise ValueError("the task has no labels")
    if len(network.task["labels"]) != network.readout.channels:
        raise ValueError(f"{len(network.task['labels'])} labels for {network.readout.channels} outputs")
    vocabulary = read_tokenizer(network.tokenizer).get_vocab(with_added_tokens=True)
    padding = checked(network.config, Config, "config").pad_token_id or 0
    if max((*vocabulary.values(), padding)) >= len(embedding.word):
        raise ValueError(f"the tokenizer has more than the {len(embedding.word)} words of the embedding")
    for stage in network.stages:
        _check_heads(network, stage)
        arrays = {} if stage.soma is None else stage.soma.arrays()
        if any(array.shape != (stage.channels,) for array in arrays.values()):
            raise ValueError(f"{stage.name}: soma constants are not {stage.channels} numbers")


def _check_heads(network: Network, stage: Stage) -> None:
    a = stage.attention
    if a is None:
        if stage.heads != 1:
            raise ValueError(f"{stage.name}: {stage.heads} heads without attention")
        return
    left, right = network[a.left], network[a.right]
    if right.is_scores or right.channels % stage.heads or left.is_scores == stage.is_scores:
        raise ValueError(f"{stage.name}: an attention product of {a.left} and {a.right} with {stage.heads} heads")
    fits = stage.channels == stage.heads and left.channels == right.channels
    if not (fits if stage.is_scores else left.channels == stage.heads and stage.channels == right.channels):
        raise ValueError(f"{stage.name}: {stage.channels} channels from {left.channels} and {right.channels}")


def _text(array: NDArray[Any]) -> str:
    return bytes(array.tobytes()).decode("utf-8")


def _json(array: NDArray[Any]) -> dict[str, Any]:
    record = json.loads(_text(array))
    if not isinstance(record, dict):
        raise ValueError("metadata is not a JSON object")
    return record
