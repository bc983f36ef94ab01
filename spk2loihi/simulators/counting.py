"""The count-based engine: spike counts of a windowed network in one pass, whatever T is.

Only tokens that exist are computed: a batch is packed to (tokens, d), and padded for attention alone. Counts travel as
bytes (`byte_products`), drives as float32 that hold integers, and a soma function costs about what reading its drive
costs (`firing`). `Emulator.equilibrium` is the same computation without any of this, and the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.data import TokenBatch
from spk2loihi.export.network import Network, Stage
from spk2loihi.export.soma import Gelu, LayerNorm, Softmax
from spk2loihi.simulators.byte_products import ByteProduct, Product, fires_exactly, make_product
from spk2loihi.simulators.counters import Counts, EventSums
from spk2loihi.simulators.firing import AffineFire, Fire, GeluFire, LayerNormFire, SoftmaxFire

_TOKENS = 1024  # padded; computed together: drives of the widest layer stay in a third-level cache
_SCORES = 2**20  # elements


@dataclass(frozen=True)
class Counted:
    """One batch.

    Attributes:
        logits: U of the readout, (B, labels).
        sums: of every firing stage.
        counts: of every firing stage, padded neurons 0, int16; empty unless kept.
    """

    logits: NDArray[np.int64]
    sums: dict[str, EventSums]
    counts: Counts


class CountEngine:
    """Runs batches of one network.

    Args:
        graded: a neuron sends one message if n is not 0, else |n| spikes; matters to `Counted.sums` alone.
    """

    def __init__(self, network: Network, graded: bool = False) -> None:
        self._network, self._graded = network, graded
        e = network.embedding
        self._tables = [torch.from_numpy(t.astype(np.float32)) for t in (e.word, e.position, e.token_type)]
        self._plans = [_Plan(network, stage) for stage in network.stages]
        attentions = [stage.attention for stage in network.stages if stage.attention is not None]
        self._attended = {name for attention in attentions for name in (attention.left, attention.right)}
        self._first = {source for stage in network.stages if stage.tokens == "first" for source in stage.sources}
        self._last_use = {source: stage.name for stage in network.stages for source in stage.sources}

    def run(self, batch: TokenBatch, keep: bool) -> Counted:
        """Counts are returned if ``keep``. If not, sentences take turns, and memory does not grow with the batch."""
        with torch.inference_mode():
            if keep:
                return self._run(_Packing(batch), batch, keep)
            heads = max(stage.heads for stage in self._network.stages)
            return _joined([self._run(_Packing(part), part, keep) for part in parts(batch, heads)])

    def _run(self, packing: _Packing, batch: TokenBatch, keep: bool) -> Counted:
        alive: dict[str, Tensor] = {}  # bytes (rows, d) of a stage, or counts (B, H, rows, L) in float32 of scores
        sums: dict[str, EventSums] = {}
        counts: Counts = {}
        for plan in self._plans:
            stage = plan.stage
            if not stage.fires:
                logits = plan.readout(alive, packing).numpy().astype(np.int64)
                break
            if stage.attention is not None:
                m = plan.attend(alive, packing)
            elif stage.depth:
                m = plan.linear(alive, packing)
            else:
                m = plan.fire(self._embedding_drive(batch))
            alive[stage.name] = m
            sums[stage.name] = self._sums(plan, m, packing)
            if keep:
                counts[stage.name] = plan.padded(m, packing)
            for source in stage.sources:
                if self._last_use[source] == stage.name:
                    alive.pop(source, None)
        return Counted(logits, sums, counts)

    def _embedding_drive(self, batch: TokenBatch) -> Tensor:
        mask = batch.mask
        positions = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        u: Tensor | None = None
        for table, index in zip(self._tables, (batch.input_ids, positions, batch.token_type_ids), strict=True):
            rows = table.index_select(0, torch.from_numpy(index[mask]))
            u = rows if u is None else u.add_(rows)
        assert u is not None
        return u

    def _sums(self, plan: _Plan, m: Tensor, packing: _Packing) -> EventSums:
        stage = plan.stage
        if stage.is_scores:
            rows = packing.row_mask(stage.tokens)
            spiked = m.sum(-1).mul_(rows).sum((1, 2)).numpy().astype(np.int64)
            sent = (m != 0).sum(-1).mul_(rows.long()).sum((1, 2)).numpy() if self._graded else spiked
            return EventSums(int(spiked.sum()), int(sent.sum()), sentences=sent)
        n = (m.sub(plan.zero).view(torch.int8).abs_().view(torch.uint8) if plan.zero else m).numpy()
        events, most = ((n != 0).view(np.uint8), 1) if self._graded else (n, plan.most)
        channels = _column_sums(events, most)
        total = int(channels.sum())
        spikes = int(_column_sums(n, plan.most).sum()) if self._graded else total
        starts = packing.starts if stage.tokens == "all" else np.arange(packing.sentences)
        sentences = first = first_channels = None
        if stage.name in self._attended:
            sentences = np.add.reduceat(torch.from_numpy(events).sum(1).numpy(), starts)
        if stage.name in self._first:
            firsts = events[starts]
            first, first_channels = firsts.sum(1, dtype=np.int64), _column_sums(firsts, most)
        return EventSums(spikes, total, channels, first_channels, sentences, first)


def parts(batch: TokenBatch, heads: int) -> list[TokenBatch]:
    """Runs of sentences whose tokens and scores stay within the budget; at least one sentence each."""
    result, start, longest = [], 0, 0
    for end, length in enumerate(batch.lengths.tolist()):
        longest = max(longest, length)
        count = end + 1 - start
        if count > 1 and (count * longest > _TOKENS or count * heads * longest**2 > _SCORES):
            result.append(_part(batch, slice(start, end)))
            start, longest = end, length
    return [*result, _part(batch, slice(start, len(batch.lengths)))]


def _part(batch: TokenBatch, sentences: slice) -> TokenBatch:
    lengths = batch.lengths[sentences]
    return TokenBatch(
        batch.input_ids[sentences, : lengths.max()], batch.token_type_ids[sentences, : lengths.max()], lengths
    )


def _joined(counted: list[Counted]) -> Counted:
    logits = np.concatenate([one.logits for one in counted])
    return Counted(
        logits, {name: EventSums.joined([one.sums[name] for one in counted]) for name in counted[0].sums}, {}
    )


class _Plan:
    """How one stage is computed."""

    def __init__(self, network: Network, stage: Stage) -> None:
        self.stage = stage
        self.most = network.timesteps
        self.zero = self.most if stage.signed else 0
        self._network = network
        self._softmax: SoftmaxFire | None = None
        self.fire: Fire = AffineFire(stage, self.zero, self.most)
        self._dense: list[tuple[str, Product]] = []
        self._skips: list[tuple[str, Tensor]] = []
        if not stage.fires or isinstance(stage.soma, Softmax):
            pass
        elif isinstance(stage.soma, LayerNorm):
            self.fire = LayerNormFire(stage, self.zero, self.most)
        elif isinstance(stage.soma, Gelu):
            self.fire = GeluFire(stage, self.zero, self.most)
        if isinstance(stage.soma, Softmax):
            self._softmax = SoftmaxFire(stage, self.most, network.max_tokens)
        if stage.bias is not None:
            self._plan_synapses(stage.bias * float(self.most))

    def _plan_synapses(self, bias: NDArray[np.float64]) -> None:
        if isinstance(self.fire, GeluFire):
            bias = bias + self.fire.offset
        for group in self.stage.synapses:
            zero = self.most if self._network[group.source].signed else 0
            if group.one_to_one:
                weight = group.scaled
                bias = bias - weight * float(zero)
                self._skips.append((group.source, torch.from_numpy(weight.astype(np.float32))))
        for group in self.stage.synapses:
            if not group.one_to_one:
                zero = self.most if self._network[group.source].signed else 0
                self._dense.append((group.source, make_product(group, zero, self.most, bias)))
                bias = np.zeros_like(bias)
        self._bias = torch.from_numpy(bias.astype(np.float32))
        only = self._dense[0][1] if len(self._dense) == 1 and not self._skips and self.stage.soma is None else None
        exact = self.stage.fires and fires_exactly(self.stage.threshold, self.most)
        self._fused = only if isinstance(only, ByteProduct) and exact else None

    def linear(self, alive: dict[str, Tensor], packing: _Packing) -> Tensor:
        """Bytes of the counts."""
        if self._fused is not None:
            m = self._source(self._dense[0][0], alive, packing)
            return self._fused.fire(m, self.stage.threshold, self.zero, self.most)
        return self.fire(self.readout(alive, packing))

    def readout(self, alive: dict[str, Tensor], packing: _Packing) -> Tensor:
        """U in float32, (rows, d)."""
        u: Tensor | None = None
        for source, product in self._dense:
            part = product.drive(self._source(source, alive, packing))
            u = part if u is None else u.add_(part)
        if u is None:
            u = self._bias
        for source, weight in self._skips:
            u = torch.addcmul(u, self._source(source, alive, packing).float(), weight)
        return u

    def _source(self, name: str, alive: dict[str, Tensor], packing: _Packing) -> Tensor:
        m = alive[name]
        if self.stage.tokens == "first" and self._network[name].tokens == "all":
            return m.index_select(0, packing.first)
        return m

    def attend(self, alive: dict[str, Tensor], packing: _Packing) -> Tensor:
        attention, heads = self.stage.attention, self.stage.heads
        assert attention is not None
        right = packing.pad(self._signed(attention.right, alive), heads)  # (B, H, L, d_h)
        batch = len(right)
        if attention.kind == "context":
            left = alive[attention.left]  # (B, H, rows, L)
            u = torch.bmm(left.flatten(0, 1), right.flatten(0, 1))
            u = u.unflatten(0, (batch, heads)).transpose(1, 2).flatten(2).flatten(0, 1)  # (B * rows, d)
            return self.fire(u if self.stage.tokens == "first" else packing.pack(u))
        signed = self._signed(attention.left, alive)
        if self.stage.tokens == "first":
            if self._network[attention.left].tokens == "all":
                signed = signed.index_select(0, packing.first)
            left = signed.float().unflatten(-1, (heads, -1))[:, :, None]  # (B, H, 1, d_h)
        else:
            left = packing.pad(signed, heads)
        u = torch.bmm(left.flatten(0, 1), right.flatten(0, 1).transpose(1, 2)).unflatten(0, (batch, heads))
        if self._softmax is not None:
            return self._softmax(u, packing.key_mask(self._softmax.masked))
        n = self.fire(u).float()
        keys = packing.key_mask(0.0, 1.0)
        return n if keys is None else n.mul_(keys)

    def _signed(self, name: str, alive: dict[str, Tensor]) -> Tensor:
        """Counts as signed bytes."""
        zero = self.most if self._network[name].signed else 0
        return alive[name].sub(zero).view(torch.int8)

    def padded(self, m: Tensor, packing: _Packing) -> NDArray[np.int16]:
        """Counts as `Run` has them, (B, L, d) or (B, H, L, L)."""
        if self.stage.is_scores:
            n: NDArray[np.int16] = (m * packing.row_mask(self.stage.tokens)[..., None]).numpy().astype(np.int16)
            return n
        rows = m.numpy().astype(np.int16) - np.int16(self.zero)
        if self.stage.tokens == "first":
            return rows[:, None]
        full = np.zeros((packing.sentences * packing.length, rows.shape[1]), np.int16)
        full[packing.tokens.numpy()] = rows
        return full.reshape(packing.sentences, packing.length, -1)


class _Packing:
    """Where the tokens of a batch are: packed one after another, or padded to the longest sentence.

    Attributes:
        starts: row of each sentence's first token, (B,); `first` is the same.
        tokens: padded position of each packed row, (tokens,).
    """

    def __init__(self, batch: TokenBatch) -> None:
        mask = batch.mask
        self.sentences, self.length = mask.shape
        self.starts = np.concatenate([[0], np.cumsum(batch.lengths)[:-1]]).astype(np.int64)
        self.first = torch.from_numpy(self.starts)
        self.tokens = torch.from_numpy(np.flatnonzero(mask))
        self._mask = torch.from_numpy(mask)
        self._full = bool(mask.all())
        # Padding reads some row: what it holds meets a score of 0, or is never read.
        self._rows = torch.from_numpy(np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, 0).reshape(-1))

    def pad(self, n: Tensor, heads: int) -> Tensor:
        """Signed bytes (tokens, d) to float32 (B, H, L, d_h)."""
        rows = n if self._full else n.index_select(0, self._rows)
        split = rows.view(self.sentences, self.length, heads, -1).transpose(1, 2)
        return split.to(torch.float32, memory_format=torch.contiguous_format)

    def pack(self, u: Tensor) -> Tensor:
        """Padded rows (B * L, d) to (tokens, d)."""
        return u if self._full else u.index_select(0, self.tokens)

    def key_mask(self, absent: float, present: float = 0.0) -> Tensor | None:
        """(B, 1, 1, L), float32; None if every key exists."""
        if self._full:
            return None
        return torch.where(self._mask, present, absent)[:, None, None, :]

    def row_mask(self, tokens: str) -> Tensor:
        """1 where a query exists, (B, 1, rows), float32."""
        rows = self._mask[:, :1] if tokens == "first" else self._mask
        return rows[:, None].float()


def _column_sums(x: NDArray[np.uint8], most: int) -> NDArray[np.int64]:
    """Sum over rows of bytes of at most ``most``: first, as bytes, of as many as a byte holds."""
    group = 255 // most
    whole = len(x) // group * group
    partial = np.add.reduce(x[:whole].reshape(-1, group, x.shape[1]), axis=1, dtype=np.uint8)
    sums: NDArray[np.int64] = partial.sum(0, dtype=np.int64) + x[whole:].sum(0, dtype=np.int64)
    return sums
