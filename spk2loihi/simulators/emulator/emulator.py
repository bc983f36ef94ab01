"""The emulator: this project's integer engine, batched, from counts (`counting`) or step by step.

The stepped engine, and `Emulator.equilibrium`, the reference of the count-based one, carry integers in float32, whose
sums are exact below 2**24; export proves every drive below 2**23 (`spk2loihi.network.bounds`), so results are those of
integer arithmetic at the speed of a float matrix product. The division of a firing is exact for the same reason: the
quotient of two integers below 2**24 is never rounded up to the next integer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.choices import Encoding
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.limits import MEMBRANE_MAX
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Backend, Run, Totals, Trains
from spk2loihi.simulators.counters import Counts
from spk2loihi.simulators.emulator.count_engine import CountEngine

Engine = Literal["count", "stepped"]

_STILL = 1e-3  # spikes by which the last iteration of a fixed point moved any count


class Emulator(Backend):
    """Runs a network on integers.

    Args:
        engine: ``count`` computes spike counts at the cost of one pass whatever T is (windowed only); ``stepped`` steps
            every neuron through time.
    """

    name = "emulator"

    def __init__(self, network: Network, config: RunConfig | None = None, engine: Engine | None = None) -> None:
        super().__init__(network, config)
        schedule = self.timeline.schedule
        if schedule == "settling":
            raise ValueError("settling runs are SettlingEmulator's")
        self.engine: Engine = engine or ("count" if schedule in ("windowed", "streamed") else "stepped")
        if self.engine == "stepped" and schedule == "windowed":
            self.name = "stepped"
        if self.engine == "count" and schedule not in ("windowed", "streamed"):
            raise UserError(
                f"counts determine a run in the windowed and streamed schedules only, but `schedule` is {schedule}: "
                "choose one of them"
            )

    @cached_property
    def _weights(self) -> dict[tuple[str, str], Tensor]:
        """float32 copies, transposed for n @ W.T: (d_in, d_out), or (d,) one-to-one, exponent applied."""
        return {
            (stage.name, group.source): torch.from_numpy(group.scaled.astype(np.float32).T.copy())
            for stage in self.network.stages
            for group in stage.synapses
        }

    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        with torch.no_grad():
            if self.engine == "stepped":
                return self._run_stepped(batch, record)
            counted = self._counting.run(batch, keep=True)
        trains = {name: self._window(n) for name, n in counted.counts.items()} if record else None
        events = _events(counted.counts, self.timeline.encoding)
        return Run(counted.logits, counted.counts, events, trains, self.timeline.steps, self.timeline.latency_steps)

    def totals(self, batch: TokenBatch) -> Totals:
        if self.engine == "stepped":
            return super().totals(batch)
        counted = self._counting.run(batch, keep=False)
        return Totals(counted.logits, counted.sums, self.timeline.steps, self.timeline.latency_steps)

    @cached_property
    def _counting(self) -> CountEngine:
        graded = self.timeline.encoding == "graded"
        return CountEngine(self.network, graded, self.timeline.arithmetic)

    def equilibrium(self, batch: TokenBatch, resolution: int = 1) -> tuple[dict[str, Tensor], Tensor]:
        """Spike counts at equilibrium by stage, and the readout's U (B, 1, labels).

        Args:
            resolution: rates are resolved to 1 / (T * resolution) instead of 1/T, which approaches the equilibrium a
                pipelined run converges to. Counts are then in [-T * resolution, T * resolution].
        """
        most = self.network.timesteps * resolution
        masks = _Masks(batch)
        counts: dict[str, Tensor] = {}
        for stage in self.network.stages:
            u = self._drive(stage, counts, masks, most) if stage.depth else self._embedding_drive(batch)
            if not stage.fires:
                break
            if stage.soma is not None:  # a soma function expects the U of T steps
                u = torch.floor(u / resolution ** _order(stage)) + _floats(_constant(stage, u))
                u = self._soma(stage, u, masks) * resolution
            counts[stage.name] = self._settled(stage, u, most).mul_(masks.of(stage))
        return counts, u

    def _settled(self, stage: Stage, u: Tensor, most: int) -> Tensor:
        """Counts for a drive; with feedback the fixed point, to which iterating leads: the norm of V is below theta."""
        low, half = -most if stage.signed else 0, stage.threshold // 2
        if stage.feedback is None:
            return torch.floor((u + half) / stage.threshold).clamp_(low, most)
        forward, own = u.double(), self._weights[stage.name, stage.name].double()
        n, moved = torch.zeros_like(forward), math.inf
        while moved > _STILL:
            before, n = n, ((forward + n @ own) / stage.threshold).clamp_(low, most)
            moved = float((n - before).abs().max())
        return torch.floor(n + half / stage.threshold).clamp_(low, most).float()

    def _run_stepped(self, batch: TokenBatch, record: bool) -> Run:
        """Every stage in its own local time, which synaptic delays align across stages (see `export.network`)."""
        masks = _Masks(batch)
        trains: dict[str, Tensor] = {}  # (steps, B, L, d) float
        last_use = {source: stage.name for stage in self.network.stages for source in stage.sources}
        counts: Counts = {}
        events: Counts = {}
        recorded: Trains = {}
        for stage in self.network.stages:
            if not stage.fires:
                break
            train = self._step_windowed(stage, trains, batch, masks) if self.timeline.schedule == "windowed" else (
                self._step_pipelined(stage, trains, batch, masks)
            )  # fmt: skip
            trains[stage.name] = train
            counts[stage.name] = train.sum(0).numpy().astype(np.int32)
            events[stage.name] = (train != 0).sum(0).numpy().astype(np.int32)
            if record:
                recorded[stage.name] = train.numpy().astype(np.int8)
            for source in stage.sources:
                if last_use[source] == stage.name:
                    del trains[source]
        logits = self._readout(stage, trains, masks)
        return Run(
            logits, counts, events, recorded if record else None, self.timeline.steps, self.timeline.latency_steps
        )

    def logits(self, trains: Trains, batch: TokenBatch) -> NDArray[np.int64]:
        """What a run of ``steps`` steps reads out, as `Run` has it, from recorded ``trains`` of at least as many."""
        stage = self.network.readout
        first = {s: torch.from_numpy(trains[s][: self.timeline.steps].astype(np.float32)) for s in stage.sources}
        return self._readout(stage, first, _Masks(batch))

    def _readout(self, stage: Stage, trains: dict[str, Tensor], masks: _Masks) -> NDArray[np.int64]:
        if self.timeline.schedule == "pipelined":
            *_, (u, weight) = self._running_sums(stage, trains, masks)
            u = self.network.leak.mean(u, weight, self.network.timesteps, 1)
        else:
            u = self._integrate(stage, trains, masks)
        return u[:, 0] if stage.tokens == "first" else u * _integers(masks.of(stage))

    def _step_drives(self, stage: Stage, trains: dict[str, Tensor], masks: _Masks) -> Iterator[Tensor]:
        """What the spikes that other stages send in each step add to U; linear and attention drives alike."""
        if stage.attention is not None:
            left, right = trains[stage.attention.left], trains[stage.attention.right]
            fast_left, fast_right = torch.zeros_like(left[0]), torch.zeros_like(right[0])  # the fast weights
            for l_t, r_t in zip(left, right, strict=True):
                fast_right = fast_right + r_t
                yield _attend(stage, l_t, fast_right) + _attend(stage, fast_left, r_t)
                fast_left = fast_left + l_t
            return
        bias_steps = self.network.timesteps // self.timeline.steps if self.timeline.encoding == "graded" else 1
        for t in range(self.timeline.steps):
            yield self._drive(stage, {name: trains[name][t] for name in stage.sources}, masks, bias_steps)

    def _running_sums(
        self, stage: Stage, trains: dict[str, Tensor], masks: _Masks
    ) -> Iterator[tuple[NDArray[np.int64], int]]:
        """U after each step, and the weight of time, both with the fractional bits of the leak; 0 for an embedding."""
        leak, order = self.network.leak, _order(stage)
        total: NDArray[np.int64] = np.zeros((), np.int64)
        if leak.decay and order == 2:
            drives = self._leaky_products(stage, trains)
        elif order:
            drives = (leak.one(_integers(u)) for u in self._step_drives(stage, trains, masks))
        else:
            drives = itertools.repeat(total)
        for _, drive, weight in zip(range(self.timeline.steps), drives, leak.weights(), strict=False):
            for _ in range(order):  # a product of two sums decays as both
                total = leak(total)
            total = total + drive
            yield total, weight

    def _leaky_products(self, stage: Stage, trains: dict[str, Tensor]) -> Iterator[NDArray[np.int64]]:
        """What the spikes of each step add to an attention product of leaky fast weights; exact in float64."""
        assert stage.attention is not None
        leak = self.network.leak
        left, right = (_integers(trains[name]) for name in stage.sources)
        fast_left, fast_right = np.zeros_like(left[0]), np.zeros_like(right[0])
        for l_t, r_t in zip(left, right, strict=True):
            fast_left, fast_right = leak(fast_left), leak(fast_right) + leak.one(r_t)
            products = (_attend(stage, *map(_doubles, pair)) for pair in ((l_t, fast_right), (fast_left, r_t)))
            yield sum(map(_integers, products), np.zeros((), np.int64))
            fast_left = fast_left + leak.one(l_t)

    def _integrate(self, stage: Stage, trains: dict[str, Tensor], masks: _Masks) -> NDArray[np.int64]:
        """U after the last step, summed one step at a time."""
        return sum(map(_integers, self._step_drives(stage, trains, masks)), np.zeros((), np.int64))

    def _step_windowed(self, stage: Stage, trains: dict[str, Tensor], batch: TokenBatch, masks: _Masks) -> Tensor:
        """Soft reset; +1 at u >= threshold, -1 at u < 0; u starts at threshold // 2; no leak."""
        u = _floats(self._integrate(stage, trains, masks)) if stage.depth else self._embedding_drive(batch)
        u = self._soma(stage, u + _floats(_constant(stage, u)), masks) + stage.threshold // 2
        mask = masks.of(stage)
        if self.timeline.encoding == "graded":
            most = self.network.timesteps
            n = torch.floor(u / stage.threshold).clamp_(-most if stage.signed else 0, most)
            return (n * mask)[None]
        train = torch.empty(self.timeline.steps, *u.shape)
        for t in range(self.timeline.steps):
            s = _compare(u, stage.threshold, stage.signed)
            u = u - stage.threshold * s
            train[t] = s * mask
        return train

    def _step_pipelined(self, stage: Stage, trains: dict[str, Tensor], batch: TokenBatch, masks: _Masks) -> Tensor:
        """As windowed, but the gate is open from the first step. A membrane saturates at 24 bits, as Loihi's does."""
        if stage.soma is not None or _order(stage) != 1:
            return self._step_by_mean(stage, trains, batch, masks)
        mask, leak, half = masks.of(stage), self.network.leak, stage.threshold // 2
        own = None if stage.feedback is None else self._weights[stage.name, stage.name]
        u = torch.tensor(float(half))
        spikes: list[Tensor] = []
        for drive in self._step_drives(stage, trains, masks):
            if leak.decay and spikes:
                u = _floats(leak(_integers(u) - half) + half)
            if own is not None and spikes:  # a spike arrives at its own population a step later
                drive = drive + spikes[-1] @ own
            u = (u + drive).clamp(-MEMBRANE_MAX, MEMBRANE_MAX)
            s = _compare(u, stage.threshold, stage.signed)
            u = u - stage.threshold * s
            spikes.append(s * mask)
        return torch.stack(spikes)

    def _step_by_mean(self, stage: Stage, trains: dict[str, Tensor], batch: TokenBatch, masks: _Masks) -> Tensor:
        """The charge of t steps is t times the function of the mean of U: in units of 1/T, so against T theta; int64.

        What was sent on an early mean is taken back, because a charge is compared with all spikes sent before. With a
        leak all sums over time are weighted ones, t as well.
        """
        window, order, leak = self.network.timesteps, _order(stage), self.network.leak
        threshold = stage.threshold * window
        drive = _integers(self._embedding_drive(batch)) if not order else np.zeros((), np.int64)
        z = drive if order else self._integer_soma(stage, drive, masks)
        sent: NDArray[np.int64] = np.zeros((), np.int64)
        spikes = []
        for total, weight in self._running_sums(stage, trains, masks):
            if order:
                mean = leak.mean(total, weight, window, order)
                z = self._integer_soma(stage, mean + _constant(stage, mean), masks)
            sent = leak(sent)
            u = leak.membrane(z.clip(-threshold if stage.signed else 0, threshold), weight, sent, threshold)
            s = (u >= threshold << leak.fraction).astype(np.int64) - (stage.signed & (u < 0))
            sent = sent + leak.one(s)
            spikes.append(_floats(s) * masks.of(stage))
        return torch.stack(spikes)

    def _embedding_drive(self, batch: TokenBatch) -> Tensor:
        e = self.network.embedding
        length = batch.input_ids.shape[1]
        u = e.word[batch.input_ids] + e.position[:length] + e.token_type[batch.token_type_ids]
        return torch.from_numpy(u.astype(np.float32))

    def _drive(self, stage: Stage, counts: dict[str, Tensor], masks: _Masks, bias_steps: int) -> Tensor:
        """U of ``counts``, with ``bias_steps`` biases: (B, L, d), or (B, H, L, L) for scores."""
        if stage.attention is not None:
            return _attend(stage, counts[stage.attention.left], counts[stage.attention.right])
        assert stage.bias is not None
        u = torch.from_numpy((stage.bias * bias_steps).astype(np.float32))
        for group in stage.forward:
            n = counts[group.source]
            if stage.tokens == "first":
                n = n[:, :1]
            weight = self._weights[stage.name, group.source]
            u = torch.addcmul(u, n, weight) if group.one_to_one else u + n @ weight
        return u

    def _soma(self, stage: Stage, u: Tensor, masks: _Masks) -> Tensor:
        return u if stage.soma is None else _floats(self._integer_soma(stage, _integers(u), masks))

    def _integer_soma(self, stage: Stage, u: NDArray[np.int64], masks: _Masks) -> NDArray[np.int64]:
        return u if stage.soma is None else stage.soma(u, masks.keys if stage.is_scores else None)

    def _window(self, counts: NDArray[np.int16]) -> NDArray[np.int8]:
        """In windows the |n| spikes of a neuron follow one another from the first step on: (steps, ...)."""
        if self.timeline.encoding == "graded":
            return counts.astype(np.int8)[None]
        n = counts.astype(np.int8)
        step = np.arange(self.timeline.steps).reshape(-1, *[1] * n.ndim)
        return np.where(step < np.abs(n), np.sign(n), 0).astype(np.int8)


class _Masks:
    """Where tokens exist, as tensors broadcastable to a stage's counts."""

    def __init__(self, batch: TokenBatch) -> None:
        self.tokens = torch.from_numpy(batch.mask.astype(np.float32))[..., None]  # (B, L, 1)
        self.keys = batch.mask[:, None, None, :]  # (B, 1, 1, L)
        self._keys = torch.from_numpy(self.keys.astype(np.float32))

    def of(self, stage: Stage) -> Tensor:
        rows = self.tokens[:, :1] if stage.tokens == "first" else self.tokens
        return rows[:, None] * self._keys if stage.is_scores else rows


def _attend(stage: Stage, left: Tensor, right: Tensor) -> Tensor:
    assert stage.attention is not None
    if stage.attention.kind == "scores":
        return _split_heads(left, stage.heads) @ _split_heads(right, stage.heads).transpose(-1, -2)
    return (left @ _split_heads(right, stage.heads)).transpose(1, 2).flatten(2)


def _constant(stage: Stage, u: Tensor | NDArray[np.int64]) -> NDArray[np.int64]:
    """Part of U that no spike adds."""
    return stage.constant(*u.shape[2:]) if stage.is_scores else np.zeros((), np.int64)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, L, d) -> (B, H, L, d_h)


def _order(stage: Stage) -> int:
    """U grows with the number of steps to this power."""
    return 0 if not stage.depth else 1 if stage.attention is None else 2


def _compare(u: Tensor, threshold: int, signed: bool) -> Tensor:
    s = (u >= threshold).float()
    return s - (u < 0).float() if signed else s


def _floats(x: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))


def _doubles(x: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(x.astype(np.float64))


def _integers(x: Tensor) -> NDArray[np.int64]:
    return x.numpy().astype(np.int64)


def _events(counts: Counts, encoding: Encoding) -> Counts:
    return {name: np.abs(n) if encoding == "rate" else (n != 0).astype(np.int16) for name, n in counts.items()}
