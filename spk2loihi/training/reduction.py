"""A teacher made smaller: where a student that is narrower than its teacher starts.

* **Width.** The states of the residual stream (after the embedding and after every LayerNorm, over sentences of the
  task) are projected onto their principal components. A rotation then puts the least of these where LayerNorm takes the
  mean, which it would remove, and spreads the others over all channels. What reads a state takes it back with the
  transpose.
* **LayerNorm** does not commute with that: its gain and bias are fitted, channel by channel, to the projected output.
* **Heads** are those that write most into the stream. Where a head becomes narrower, the singular value decomposition
  of ``W_q^T W_k`` and of ``W_o W_v`` says what of it is kept.
* **Feed-forward neurons** and **pooler neurons** are those that write most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spk2loihi.data import collate
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.config import SpikingBertConfig
from spk2loihi.models.teacher_parts import LayerParts, TeacherParts
from spk2loihi.training.evaluation import LabelledData, accepted, model_inputs
from spk2loihi.training.teacher import Teacher

_SENTENCES = 512  # of the task, whose states are looked at
_BATCH = 64
_RIDGE = 1e-4
_SEED = 0  # of the rotation


@dataclass(frozen=True)
class Reduced:
    """A smaller teacher.

    Attributes:
        parts: of its chosen layers, in their order.
        heads: of each chosen layer, the teacher's heads that were kept.
    """

    parts: TeacherParts
    heads: list[list[int]]


def is_smaller(config: SpikingBertConfig, teacher: Teacher) -> bool:
    """Whether a student has other widths than its teacher."""
    sizes = teacher.sizes
    ours = config.hidden_size, config.num_attention_heads, config.intermediate_size
    return ours != (sizes.hidden, sizes.heads, sizes.intermediate)


@torch.no_grad()
def reduce_teacher(
    teacher: Teacher, config: SpikingBertConfig, layers: list[int], data: LabelledData, pad_id: int
) -> Reduced:
    """``teacher`` in the sizes of ``config``, from its states over the first sentences of ``data``."""
    on = next(teacher.model.parameters()).device
    teacher.model.cpu()
    try:
        return _reduced(teacher, config, layers, data, pad_id)
    finally:
        teacher.model.to(on)


def _reduced(
    teacher: Teacher, config: SpikingBertConfig, layers: list[int], data: LabelledData, pad_id: int
) -> Reduced:
    parts, sizes = teacher.parts, teacher.sizes
    seen = _Seen.of(teacher, layers, data, pad_id)
    basis = _basis(_states(parts, layers, seen), config.hidden_size)  # (d_s, d)
    heads, kept = [], []
    for index in layers:
        layer = parts.layers[index]
        chosen = _loudest_heads(layer, seen.inputs(layer.attention_output), sizes.heads, config.num_attention_heads)
        reduced = _attention(layer, chosen, sizes.heads, config, basis, seen.inputs(layer.query))
        neurons = _loudest(layer.ffn_out, seen.inputs(layer.ffn_out), config.intermediate_size)
        heads.append(chosen)
        kept.append(
            LayerParts(
                *reduced,
                _norm(layer.attention_norm, basis, seen),
                _linear(layer.ffn_in.weight[neurons] @ basis.T, layer.ffn_in.bias[neurons]),
                _linear(basis @ layer.ffn_out.weight[:, neurons], basis @ layer.ffn_out.bias),
                _norm(layer.ffn_norm, basis, seen),
            )
        )
    smaller = replace(parts, layers=kept)
    if parts.projection is None:
        norm = _norm(parts.norm, basis, seen)
        word, position, token_type = (table @ basis.T for table in (parts.word, parts.position, parts.token_type))
        smaller = replace(smaller, norm=norm, word=word, position=position, token_type=token_type)
    else:
        projection = _linear(basis @ parts.projection.weight, basis @ parts.projection.bias)
        smaller = replace(smaller, projection=projection)
    if parts.pooler is None:
        classifier = _linear(parts.classifier.weight @ basis.T, parts.classifier.bias)
    else:
        neurons = _loudest(parts.classifier, seen.inputs(parts.classifier), config.hidden_size)
        pooler = _linear(parts.pooler.weight[neurons] @ basis.T, parts.pooler.bias[neurons])
        classifier = _linear(*_without(parts.classifier, seen.inputs(parts.classifier), neurons))
        smaller = replace(smaller, pooler=pooler)
    return Reduced(replace(smaller, classifier=classifier), heads)


class _Seen:
    """What went into the modules of a teacher, and out of its LayerNorms, at the tokens of some sentences."""

    def __init__(self) -> None:
        self._inputs: dict[nn.Module, list[Tensor]] = {}
        self._outputs: dict[nn.Module, list[Tensor]] = {}
        self._mask = torch.zeros(0)

    @classmethod
    def of(cls, teacher: Teacher, layers: list[int], data: LabelledData, pad_id: int) -> _Seen:
        seen, parts = cls(), teacher.parts
        model = teacher.model.eval()
        modules: list[nn.Module] = [parts.norm, parts.classifier, *([] if parts.pooler is None else [parts.pooler])]
        if parts.projection is not None:
            modules.append(parts.projection)
        for index in layers:
            layer = parts.layers[index]
            modules += [layer.query, layer.attention_output, layer.attention_norm, layer.ffn_out, layer.ffn_norm]
        hooks = [module.register_forward_hook(seen._keep) for module in dict.fromkeys(modules)]
        on = next(model.parameters()).device
        try:
            for start in range(0, min(_SENTENCES, len(data.encoded)), _BATCH):
                batch = collate(data.encoded[start : start + _BATCH], pad_id)
                inputs = model_inputs(batch, on)
                seen._mask = inputs["attention_mask"].bool()
                model(**accepted(model, inputs))
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    def _keep(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        for kept, x in ((self._inputs, args[0]), (self._outputs, output)):
            rows = x[self._mask[:, : x.shape[1]]] if x.ndim == 3 else x  # (tokens, d), or (B, d) of a pooled state
            kept.setdefault(module, []).append(rows.detach().cpu())

    def inputs(self, module: nn.Module) -> Tensor:
        return torch.cat(self._inputs[module])

    def outputs(self, module: nn.Module) -> Tensor:
        return torch.cat(self._outputs[module])


def _states(parts: TeacherParts, layers: list[int], seen: _Seen) -> list[Tensor]:
    """Of the residual stream, (tokens, d) each."""
    first: nn.Module = parts.norm if parts.projection is None else parts.projection
    norms = [norm for index in layers for norm in (parts.layers[index].attention_norm, parts.layers[index].ffn_norm)]
    return [seen.outputs(module) for module in dict.fromkeys([first, *norms])]


def _basis(states: list[Tensor], width: int) -> Tensor:
    """Orthonormal rows (width, d) that span the principal components of ``states``, (tokens, d) each.

    The channels as they are, where the width stays.
    """
    if width == states[0].shape[1]:
        return torch.eye(width)
    second = torch.stack([x.T @ x for x in states]).double().sum(0)
    components = torch.linalg.eigh(second).eigenvectors.flip(1)[:, :width]  # (d, width), the largest first
    generator = torch.Generator().manual_seed(_SEED)
    start = torch.randn(width, width, generator=generator, dtype=torch.float64)
    start[:, 0] = 1  # all channels alike: the direction that a LayerNorm removes
    rotation = torch.linalg.qr(start).Q
    return (rotation @ components.flip(1).T).float()


def _norm(norm: nn.LayerNorm, basis: Tensor, seen: _Seen) -> nn.LayerNorm:
    """Gain and bias that make a LayerNorm of the projected input nearest to the projected output."""
    smaller = nn.LayerNorm(len(basis))
    if basis.shape[0] == basis.shape[1]:
        smaller.load_state_dict(norm.state_dict())
        return smaller
    x = nn.functional.layer_norm(seen.inputs(norm) @ basis.T, (len(basis),)).double()
    y = (seen.outputs(norm) @ basis.T).double()
    dx, dy = x - x.mean(0), y - y.mean(0)
    gain = (dx * dy).sum(0) / (dx.square().sum(0) + _RIDGE)
    smaller.weight.copy_(gain)
    smaller.bias.copy_(y.mean(0) - gain * x.mean(0))
    return smaller


def _loudest(reader: nn.Linear, x: Tensor, most: int) -> Tensor:
    """Indices of the inputs that move the outputs of ``reader`` most, in ascending order."""
    power = x.square().mean(0) * reader.weight.square().sum(0)
    return power.topk(min(most, len(power))).indices.sort().values


def _loudest_heads(layer: LayerParts, context: Tensor, heads: int, most: int) -> list[int]:
    if most == heads:
        return list(range(heads))
    power = (context.square().mean(0) * layer.attention_output.weight.square().sum(0)).unflatten(0, (heads, -1)).sum(1)
    return sorted(power.topk(most).indices.tolist())


def _attention(
    layer: LayerParts, chosen: list[int], heads: int, config: SpikingBertConfig, basis: Tensor, states: Tensor
) -> tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear]:
    """Query, key, value and output of the chosen heads, narrower where they have to be."""
    width = config.hidden_size // config.num_attention_heads
    x = torch.cat([states @ basis.T, torch.ones(len(states), 1)], 1).double()  # with the bias as a channel
    spread = _root(x.T @ x / len(x))  # (d_s + 1, d_s + 1)

    def rows(linear: nn.Linear) -> Tensor:
        whole = torch.cat([linear.weight @ basis.T, linear.bias[:, None]], 1).double()  # (d, d_s + 1)
        return whole.unflatten(0, (heads, -1))[chosen]  # (heads, d_h, d_s + 1)

    q, k, v = rows(layer.query), rows(layer.key), rows(layer.value)
    out = (basis @ layer.attention_output.weight).double().unflatten(1, (heads, -1))[:, chosen]  # (d_s, heads, d_h)
    if width < q.shape[1]:
        scale = (width / q.shape[1]) ** 0.5  # of q k, which is divided by the root of the width
        inverse = torch.linalg.pinv(spread)
        narrow_q, narrow_k, narrow_v, narrow_out = [], [], [], []
        for head in range(len(chosen)):
            u, s, vh = torch.linalg.svd(spread @ q[head].T @ k[head] @ spread)
            root = s[:width].sqrt()[:, None]
            narrow_q.append(scale * root * u[:, :width].T @ inverse)
            narrow_k.append(root * vh[:width] @ inverse)
            u, s, vh = torch.linalg.svd(out[:, head] @ v[head] @ spread, full_matrices=False)
            root = s[:width].sqrt()[:, None]
            narrow_out.append(u[:, :width] * root.T)
            narrow_v.append(root * vh[:width] @ inverse)
        q, k, v = (torch.stack(parts) for parts in (narrow_q, narrow_k, narrow_v))
        out = torch.stack(narrow_out, 1)
    made = [_linear(*_parted(each.flatten(0, 1))) for each in (q, k, v)]
    output = _linear(out.flatten(1), basis @ layer.attention_output.bias)
    return made[0], made[1], made[2], output


def _root(second: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(second)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def _parted(rows: Tensor) -> tuple[Tensor, Tensor]:
    return rows[:, :-1], rows[:, -1]


def _without(reader: nn.Linear, x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of ``reader`` that sees only ``kept`` of its inputs, and guesses the others from them."""
    if len(kept) == reader.in_features:
        return reader.weight, reader.bias
    x = x.double()
    mean = x.mean(0)
    dx = x - mean
    second = dx[:, kept].T @ dx[:, kept]
    second += _RIDGE * second.diagonal().mean().clamp(min=1e-12) * torch.eye(len(kept), dtype=x.dtype)
    guess = torch.linalg.solve(second, dx[:, kept].T @ dx)  # (kept, inputs)
    weight = reader.weight.double() @ guess.T  # (out, kept)
    bias = reader.bias.double() + reader.weight.double() @ mean - weight @ mean[kept]
    return weight, bias


@torch.no_grad()
def fitted_outputs(
    student: SpikingBertForSequenceClassification, teacher: Teacher, data: LabelledData, pad_id: int
) -> TeacherParts:
    """The teacher with a head that reads the last states of a narrower student, instead of its own."""
    parts = teacher.parts
    seen = _Seen.of(teacher, [], data, pad_id)
    last = torch.cat([hidden[-1] for hidden, _ in _states_of(student, data, pad_id)])  # (rows, d_s)
    ones = torch.cat([last, torch.ones(len(last), 1)], 1)
    if parts.pooler is None:
        logits = seen.outputs(parts.classifier)
        return replace(parts, classifier=_linear(*_parted(least_squares(ones, logits))))
    neurons = _loudest(parts.classifier, seen.inputs(parts.classifier), student.config.hidden_size)
    drive = seen.outputs(parts.pooler)[:, neurons]
    classifier = _linear(*_without(parts.classifier, seen.inputs(parts.classifier), neurons))
    return replace(parts, pooler=_linear(*_parted(least_squares(ones, drive))), classifier=classifier)


@torch.no_grad()
def widening(
    student: SpikingBertForSequenceClassification, teacher: Teacher, layers: list[int], data: LabelledData, pad_id: int
) -> Tensor:
    """The matrix (d, d_s) that takes the hidden states of a narrower student nearest to its teacher's."""
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for (mine, rows), states in zip(
        _states_of(student, data, pad_id), _states_of(teacher.model, data, pad_id), strict=True
    ):
        chosen = [states[0][0], *(states[0][index + 1] for index in layers)]
        for a, b in zip(mine, chosen, strict=True):
            ours.append(a)
            theirs.append(b if len(a) == len(b) else b[rows])
    return least_squares(torch.cat(ours), torch.cat(theirs))


def _states_of(model: Any, data: LabelledData, pad_id: int) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Hidden states (tokens, d) of each batch, and which tokens are the first of a sentence, (B,)."""
    on = next(model.parameters()).device
    model.eval()
    for start in range(0, min(_SENTENCES, len(data.encoded)), _BATCH):
        batch = collate(data.encoded[start : start + _BATCH], pad_id)
        inputs = model_inputs(batch, on)
        mask = inputs["attention_mask"].bool().cpu()
        out = model(**accepted(model, inputs), output_hidden_states=True)
        states = [x.float().cpu() for x in out.hidden_states]
        first = torch.cat([torch.zeros(1, dtype=torch.long), mask.sum(1).cumsum(0)[:-1]])
        yield [x[mask[:, : x.shape[1]]] for x in states], first


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """The matrix W (d_out, d_in) that takes x (tokens, d_in) nearest to y (tokens, d_out)."""
    x, y = x.double(), y.double()
    second = x.T @ x
    second += _RIDGE * second.diagonal().mean().clamp(min=1e-12) * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(second, x.T @ y).T.float()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    return linear
