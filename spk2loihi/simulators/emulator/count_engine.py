"""The count-based engine: spike counts of a windowed network in one pass, whatever T is.

Only tokens that exist are computed: a batch is packed to (tokens, d), and padded for attention alone. Counts travel as
bytes (`byte_products`), drives as float32 that hold integers, and a soma function costs about what reading its drive
costs (`firing`, `attention_firing`). Where the processor allows it, `count_program` does all of it in one call.
`Emulator.equilibrium` is the same computation without any of this, and the reference.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.compiled import Bytes, Floats, Integers
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage
from spk2loihi.simulators.counters import Counts, EventSums, StreamMessages
from spk2loihi.simulators.emulator.attention_firing import fire_context, score_fire, spread_heads
from spk2loihi.simulators.emulator.byte_products import ByteProduct, Product, fires_exactly, make_product
from spk2loihi.simulators.emulator.count_program import compile_network
from spk2loihi.simulators.emulator.counted import Counted
from spk2loihi.simulators.emulator.event_sums import spikes_of, tally, tally_sentences
from spk2loihi.simulators.emulator.firing import AffineFire, fire
from spk2loihi.simulators.emulator.payload_firing import PayloadFire, PayloadScoreFire
from spk2loihi.simulators.emulator.soma_kernels import add_skip
from spk2loihi.threads import in_turns

_TOKENS = 1024  # padded; computed together: drives of the widest layer stay in a third-level cache
_SCORES = 2**20  # elements
_LEAST_TOKENS = 512  # of a turn, if it is only for the sake of another thread that turns are made smaller


class CountEngine:
    """Runs batches of one network.

    Args:
        graded: a neuron sends one message if n is not 0, else |n| spikes; matters to `Counted.sums` alone.
        arithmetic: of a streamed network.
    """

    def __init__(self, network: Network, graded: bool = False, arithmetic: Arithmetic = "lava") -> None:
        self._network, self._graded = network, graded
        self._program = compile_network(network, arithmetic)
        if self._program is not None:
            return
        e = network.embedding
        self._tables = [t.astype(np.float32) for t in (e.word, e.position, e.token_type)]
        self._plans = [_Plan(network, stage, arithmetic) for stage in network.stages]
        attentions = [stage.attention for stage in network.stages if stage.attention is not None]
        self._attended = {name for attention in attentions for name in (attention.left, attention.right)}
        self._first = {source for stage in network.stages if stage.tokens == "first" for source in stage.sources}
        self._last_use = {source: stage.name for stage in network.stages for source in stage.sources}

    def run(self, batch: TokenBatch, keep: bool) -> Counted:
        """Counts are returned if ``keep``. If not, sentences take turns, and memory does not grow with the batch.

        As many take a turn at once as torch has threads, each on one of them; a single turn has all of them, where the
        network is one program.
        """
        if keep:
            return self._run(batch, keep)
        turns = parts(batch, max(stage.heads for stage in self._network.stages), torch.get_num_threads())
        if (program := self._program) is not None:
            return program.counted(
                in_turns(lambda part: program.part(part, keep, self._graded, torch.get_num_threads()), turns)
            )
        return Counted.joined(in_turns(lambda part: self._run(part, keep), turns))

    def _run(self, batch: TokenBatch, keep: bool) -> Counted:
        if self._program is not None:
            return self._program.run(batch, keep, self._graded, torch.get_num_threads())
        packing = _Packing(batch)
        alive: dict[str, Bytes | Floats] = {}  # bytes (rows, d), or counts (B, H, rows, L) of scores
        sums: dict[str, EventSums] = {}
        counts: Counts = {}
        for plan in self._plans:
            stage = plan.stage
            if not stage.fires:
                logits = packing.unpacked(stage, plan.readout(alive, packing).astype(np.int64))
                break
            if stage.is_scores:
                alive[stage.name], sums[stage.name] = plan.scores(alive, packing, self._graded)
            else:
                inside = StreamMessages()
                if stage.attention is not None:
                    m, inside = plan.context(alive, packing)
                elif stage.depth:
                    m, inside = plan.linear(alive, packing)
                else:
                    m = plan.fire(self._embedding_drive(batch))
                alive[stage.name], sums[stage.name] = m, self._sums(plan, m, packing, inside)
            if keep:
                counts[stage.name] = plan.padded(alive[stage.name], packing)
            for source in stage.sources:
                if self._last_use[source] == stage.name:
                    alive.pop(source, None)
        return Counted(logits, sums, counts)

    def _embedding_drive(self, batch: TokenBatch) -> Floats:
        mask = batch.mask
        positions = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        word, position, token_type = self._tables
        u: Floats = word[batch.input_ids[mask]]
        u += position[positions[mask]]
        u += token_type[batch.token_type_ids[mask]]
        return u

    def _sums(self, plan: _Plan, m: Bytes, packing: _Packing, inside: StreamMessages) -> EventSums:
        stage, starts = plan.stage, packing.starts_of(plan.stage)
        channels, sentences = self._channels(plan, m, starts if stage.name in self._attended else None)
        first_channels = first = None
        if stage.name in self._first:
            first_channels, first = self._channels(plan, m[starts[:-1]], packing.each)
        total = int(channels.sum())
        spikes = int(spikes_of(m, plan.zero)) if self._graded else total
        return EventSums(spikes, total, channels, first_channels, sentences, first, inside)

    def _channels(self, plan: _Plan, m: Bytes, starts: Integers | None) -> tuple[Integers, Integers | None]:
        """Events of each channel, (d,), and of each sentence, if it is said where they start, (B,)."""
        channels = np.zeros(m.shape[1], np.int64)
        if starts is None:
            tally(m, plan.zero, plan.most, self._graded, channels)
            return channels, None
        sentences = np.empty(len(starts) - 1, np.int64)
        tally_sentences(m, plan.zero, plan.most, self._graded, starts, channels, sentences)
        return channels, sentences


def parts(batch: TokenBatch, heads: int, threads: int = 1) -> list[TokenBatch]:
    """Runs of sentences whose tokens and scores stay within the budget; at least one sentence each.

    More of them, and smaller, where there would be fewer than ``threads``.
    """
    tokens = min(_TOKENS, max(_LEAST_TOKENS, -(-int(batch.lengths.sum()) // threads)))
    result, start, longest = [], 0, 0
    for end, length in enumerate(batch.lengths.tolist()):
        longest = max(longest, length)
        count = end + 1 - start
        if count > 1 and (count * longest > tokens or count * heads * longest**2 > _SCORES):
            result.append(_part(batch, slice(start, end)))
            start, longest = end, length
    return [*result, _part(batch, slice(start, len(batch.lengths)))]


def _part(batch: TokenBatch, sentences: slice) -> TokenBatch:
    lengths = batch.lengths[sentences]
    return TokenBatch(
        batch.input_ids[sentences, : lengths.max()], batch.token_type_ids[sentences, : lengths.max()], lengths
    )


class _Plan:
    """How one stage is computed."""

    def __init__(self, network: Network, stage: Stage, arithmetic: Arithmetic) -> None:
        self.stage = stage
        self.most = network.timesteps
        self.zero = self.most if stage.signed else 0
        self._network = network
        self._dense: list[tuple[str, Product]] = []
        self._skips: list[tuple[str, Floats]] = []
        if stage.is_scores:
            self._fire_scores = score_fire(stage, self.most, network.max_tokens, arithmetic)
        else:
            self.fire = fire(stage, self.zero, self.most, arithmetic)
        if stage.synapses:
            assert stage.bias is not None
            self._plan_synapses(stage.bias * (1.0 if network.streamed else float(self.most)))

    def _plan_synapses(self, bias: NDArray[np.float64]) -> None:
        for group in self.stage.synapses:
            zero = self.most if self._network[group.source].signed else 0
            if group.one_to_one:
                weight = group.scaled
                bias = bias - weight * float(zero)
                self._skips.append((group.source, weight.astype(np.float32)))
        for group in self.stage.synapses:
            if not group.one_to_one:
                zero = self.most if self._network[group.source].signed else 0
                self._dense.append((group.source, make_product(group, zero, self.most, bias)))
                bias = np.zeros_like(bias)
        self._bias = bias.astype(np.float32)
        only = self._dense[0][1] if len(self._dense) == 1 and not self._skips and self.stage.soma is None else None
        plain = self.stage.fires and self.stage.requantise is None
        exact = plain and fires_exactly(self.stage.threshold, self.most)
        self._fused = only if isinstance(only, ByteProduct) and exact else None

    def linear(self, alive: dict[str, Bytes | Floats], packing: _Packing) -> tuple[Bytes, StreamMessages]:
        """Bytes of the counts."""
        if self._fused is not None:
            m = self._source(self._dense[0][0], alive, packing)
            return self._fused.fire(m, self.stage.threshold, self.zero, self.most), StreamMessages()
        u = self.readout(alive, packing)
        if isinstance(self.fire, PayloadFire):
            m, messages = self.fire.counted(u)
            return m, StreamMessages(*messages.tolist())
        return self.fire(u), StreamMessages()

    def readout(self, alive: dict[str, Bytes | Floats], packing: _Packing) -> Floats:
        """U, (rows, d)."""
        u: Floats | None = None
        for source, product in self._dense:
            part = product.drive(self._source(source, alive, packing))
            u = part if u is None else u + part
        if u is None:
            u = np.tile(self._bias, (packing.rows_of(self.stage), 1))
        for source, weight in self._skips:
            add_skip(u, self._source(source, alive, packing), weight)
        return u

    def _source(self, name: str, alive: dict[str, Bytes | Floats], packing: _Packing) -> Bytes:
        m = alive[name]
        if self.stage.tokens == "first" and self._network[name].tokens == "all":
            m = m[packing.starts[:-1]]
        return m.view(np.uint8)

    def scores(self, alive: dict[str, Bytes | Floats], packing: _Packing, graded: bool) -> tuple[Floats, EventSums]:
        """Counts (B, H, rows, L)."""
        assert self.stage.attention is not None
        left, right = (self._heads(n, alive, packing) for n in (self.stage.attention.left, self.stage.attention.right))
        u = torch.matmul(torch.from_numpy(left), torch.from_numpy(right).transpose(2, 3)).numpy()
        if self.stage.relative is not None:
            u += self.stage.constant(*u.shape[2:]).astype(np.float32)
        sums = np.empty((2, packing.sentences), np.int64)  # spikes, messages
        rows, inside = packing.count_of(self.stage), StreamMessages()
        if isinstance(self._fire_scores, PayloadScoreFire):
            products = int((np.count_nonzero(left, axis=2) * np.count_nonzero(right, axis=2)).sum())  # (B, H, d_h)
            drives, outliers = self._fire_scores.counted(u, rows, packing.lengths, sums).tolist()
            inside = StreamMessages(drives, outliers, products)
        else:
            self._fire_scores(u, rows, packing.lengths, sums)
        spikes, sent = sums[0], sums[1 if graded else 0]
        return u, EventSums(int(spikes.sum()), int(sent.sum()), sentences=sent, inside=inside)

    def context(self, alive: dict[str, Bytes | Floats], packing: _Packing) -> tuple[Bytes, StreamMessages]:
        """Bytes of the counts."""
        stage = self.stage
        assert stage.attention is not None
        right = self._heads(stage.attention.right, alive, packing)
        u = torch.matmul(torch.from_numpy(alive[stage.attention.left]), torch.from_numpy(right)).numpy()
        out = np.empty((packing.rows_of(stage), stage.channels), np.uint8)
        if isinstance(self.fire, PayloadFire):
            scores = alive[stage.attention.left]  # (B, H, rows, L)
            products = int((np.count_nonzero(scores, axis=2) * np.count_nonzero(right, axis=3)).sum())  # (B, H, L)
            drives, outliers = self.fire.context(u, packing.count_of(stage), out).tolist()
            return out, StreamMessages(drives, outliers, products)
        assert isinstance(self.fire, AffineFire)
        fire_context(u, packing.count_of(stage), self.fire.scale, self.fire.offset, self.zero, self.most, out)
        return out, StreamMessages()

    def _heads(self, name: str, alive: dict[str, Bytes | Floats], packing: _Packing) -> Floats:
        """Counts of a source, (B, H, rows, d_h); of a score stage's left side, those of the stage's own rows."""
        source, stage, m = self._network[name], self.stage, alive[name].view(np.uint8)
        assert stage.attention is not None
        starts, longest = packing.starts_of(source), packing.length if source.tokens == "all" else 1
        if name == stage.attention.left and stage.tokens == "first":
            m, starts, longest = m[starts[:-1]], packing.each, 1
        out = np.empty((packing.sentences, stage.heads, longest, m.shape[1] // stage.heads), np.float32)
        spread_heads(m, self.most if source.signed else 0, starts, out)
        return out

    def padded(self, m: Bytes | Floats, packing: _Packing) -> NDArray[np.int16]:
        """Counts as `Run` has them, (B, L, d) or (B, H, L, L)."""
        if self.stage.is_scores:
            return m.astype(np.int16)
        rows = m.astype(np.int16) - np.int16(self.zero)
        if self.stage.tokens == "first":
            return rows[:, None]
        full = np.zeros((*packing.mask.shape, rows.shape[1]), np.int16)
        full[packing.mask] = rows
        return full


class _Packing:
    """Where the tokens of a batch are: packed one after another, or padded to the longest sentence.

    Attributes:
        starts: row of each sentence's first token, and the number of rows, (B + 1,).
        each: the same where a sentence has one row.
    """

    def __init__(self, batch: TokenBatch) -> None:
        self.mask = batch.mask
        self.sentences, self.length = self.mask.shape
        self.lengths = batch.lengths.astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.each = np.arange(self.sentences + 1)

    def starts_of(self, stage: Stage) -> Integers:
        return self.starts if stage.tokens == "all" else self.each

    def unpacked(self, stage: Stage, rows: Integers) -> Integers:
        """Rows (rows, d) as (B, d), or (B, L, d) where all tokens have one."""
        if stage.tokens == "first":
            return rows
        full = np.zeros((*self.mask.shape, rows.shape[1]), rows.dtype)
        full[self.mask] = rows
        return full

    def count_of(self, stage: Stage) -> Integers:
        """Rows of each sentence, (B,)."""
        return self.lengths if stage.tokens == "all" else np.ones_like(self.lengths)

    def rows_of(self, stage: Stage) -> int:
        """Rows of all sentences."""
        return int(self.starts_of(stage)[-1])
