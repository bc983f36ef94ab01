"""What holds of every network: its wiring and its values. The reader and the export refuse anything else."""

from __future__ import annotations

from pathlib import Path

from spk2loihi.data import TaskSpec, answer_of, read_tokenizer
from spk2loihi.errors import UserError, first_line
from spk2loihi.limits import WEIGHT_BITS
from spk2loihi.network.file_meta import Config, FileMeta, Provenance, StageMeta, checked
from spk2loihi.network.layout import file_record
from spk2loihi.network.network import Network, Stage


def check_network(network: Network, what: str) -> Network:
    """The network, if its file could be read.

    Args:
        what: it comes from, for the error.

    Raises:
        UserError: it could not; says why.
    """
    try:
        checked(network.provenance, Provenance, "provenance")
        checked(file_record(network), FileMeta, "metadata")
        for stage in network.stages:
            checked(stage.to_dict(), StageMeta, stage.name)
        check_wiring(network, Path(what))
        check_values(network)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{what} makes a network that cannot be run ({first_line(error)}): train it again") from None
    return network


def check_wiring(network: Network, path: Path) -> None:
    """Stages in topological order: each reads what fires one window earlier, in the width its synapses expect."""
    seen: dict[str, Stage] = {}
    for stage in network.stages:
        if stage.name in seen:
            raise ValueError(f"stage {stage.name} is there twice")
        delays = {group.source: group.delay for group in stage.forward}
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
        _check_feedback(stage)
        for group in stage.forward:
            width = group.weight.shape[-1]
            if seen[group.source].channels != width:
                raise UserError(
                    f"network file {path}: stage {stage.name} reads {width} channels of {group.source}, which has "
                    f"{seen[group.source].channels}: export it again"
                )
        if (stage.attention is None) == (not stage.forward) and seen:
            raise ValueError(f"{stage.name}: a stage has either synapses or an attention product")
        seen[stage.name] = stage
    first, last = (network.stages[0], network.stages[-1]) if network.stages else (None, None)
    if first is None or last is None or first.sources or first.depth or last.fires or not last.synapses:
        raise UserError(f"network file {path} does not begin with an embedding and end in a readout: export it again")
    read = "all" if answer_of(str(network.task.get("metric"))) == "tags" else "first"
    if last.tokens != read or any(stage.tokens == "first" and not stage.sources for stage in network.stages):
        raise ValueError(f"{last.name}: the readout does not read the tokens that its task asks for")


def _check_feedback(stage: Stage) -> None:
    """Feedback is one matrix, onto neurons without a soma function, which take a step like any synapse."""
    own = [group for group in stage.synapses if group.source == stage.name]
    if not own:
        return
    square = all(group.weight.shape == (stage.channels, stage.channels) and not group.delay for group in own)
    plain = stage.fires and stage.forward and stage.soma is None and stage.requantise is None
    if len(own) > 1 or not square or not plain or stage.synapses[-1].source != stage.name:
        raise ValueError(f"{stage.name}: feedback that no network has")


def check_values(network: Network) -> None:
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
    only = network.only_schedule
    if only not in (None, network.defaults.schedule):
        raise ValueError(f"the schedule {network.defaults.schedule} of a network that runs {only} alone")
    vocabulary = read_tokenizer(network.tokenizer).get_vocab(with_added_tokens=True)
    padding = checked(network.config, Config, "config").pad_token_id or 0
    if max((*vocabulary.values(), padding)) >= len(embedding.word):
        raise ValueError(f"the tokenizer has more than the {len(embedding.word)} words of the embedding")
    for stage in network.stages:
        _check_heads(network, stage)
        _check_streamed(network, stage)
        _check_relative(network, stage)
        arrays = {} if stage.soma is None else stage.soma.arrays()
        if any(array.shape != (stage.channels,) for array in arrays.values()):
            raise ValueError(f"{stage.name}: soma constants are not {stage.channels} numbers")


def _check_relative(network: Network, stage: Stage) -> None:
    if stage.relative is None:
        return
    if not stage.is_scores or network.defaults.schedule == "streamed":
        raise ValueError(f"{stage.name}: a drive by distance where none belongs")
    if stage.relative.shape != (stage.heads, 2 * network.max_tokens - 1):
        raise ValueError(f"{stage.name}: a drive by distance of shape {stage.relative.shape}")


def _check_streamed(network: Network, stage: Stage) -> None:
    """A streamed network is one in all its stages: what its processes rely on."""
    streamed = network.defaults.schedule == "streamed"
    if (stage.requantise is not None) != (streamed and stage.fires and bool(stage.sources)):
        raise ValueError(f"{stage.name}: a stage of the {network.defaults.schedule} schedule with another's neurons")
    if not streamed:
        if stage.attention is not None and stage.bias is not None:
            raise ValueError(f"{stage.name}: an attention stage with a bias")
        return
    if stage.requantise is not None and stage.requantise.limit != network.timesteps:
        raise ValueError(f"{stage.name}: payloads up to {stage.requantise.limit}, not {network.timesteps}")
    if stage.requantise is not None and stage.requantise.relu == stage.signed:
        raise ValueError(f"{stage.name}: payloads of the wrong signs")
    if stage.sources and (stage.bias is None) != (stage.attention is not None and not stage.is_scores):
        raise ValueError(f"{stage.name}: a bias where none belongs, or none where one does")
    odd = any((array % 2).any() for array in (stage.bias, *(g.weight for g in stage.synapses)) if array is not None)
    if odd:
        raise ValueError(f"{stage.name}: synapses of mixed signs have even weights")
    if any(group.exponent.any() for group in stage.synapses if not group.one_to_one):
        raise ValueError(f"{stage.name}: a dense group with exponents")


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
