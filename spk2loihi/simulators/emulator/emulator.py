"""The emulator: this project's integer engine, batched, from counts (`counting`) or step by step.

The stepped engine, and `Emulator.equilibrium`, the reference of the count-based one, carry integers in float32, whose
sums are exact below 2**24; export proves every drive below 2**23 (`spk2loihi.network.bounds`), so results are those of
integer arithmetic at the speed of a float matrix product. The division of a firing is exact for the same reason: the
quotient of two integers below 2**24 is never rounded up to the next integer.
"""

from __future__ import annotations

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
                u = torch.floor(u / resolution ** _order(stage)) + _constant(stage, u)
                u = self._soma(stage, u, masks) * resolution
            n = torch.floor((u + stage.threshold // 2) / stage.threshold)
            counts[stage.name] = n.clamp_(-most if stage.signed else 0, most).mul_(masks.of(stage))
        return counts, u

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
        u = self._integrate(stage, trains, masks)
        u = u[:, 0] if stage.tokens == "first" else u * _integers(masks.of(stage))
        return u * self.network.timesteps // self.timeline.steps if self.timeline.schedule == "pipelined" else u

    def _step_drives(self, stage: Stage, trains: dict[str, Tensor], masks: _Masks) -> Iterator[Tensor]:
        """What the sources' spikes of each step add to U; linear and attention drives alike."""
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
            yield self._drive(
                stage, {group.source: trains[group.source][t] for group in stage.synapses}, masks, bias_steps
            )

    def _integrate(self, stage: Stage, trains: dict[str, Tensor], masks: _Masks) -> NDArray[np.int64]:
        """U after the last step, summed one step at a time."""
        return sum(map(_integers, self._step_drives(stage, trains, masks)), np.zeros((), np.int64))

    def _step_windowed(self, stage: Stage, trains: dict[str, Tensor], batch: TokenBatch, masks: _Masks) -> Tensor:
        """Soft reset; +1 at u >= threshold, -1 at u < 0; u starts at threshold // 2; no leak."""
        u = _floats(self._integrate(stage, trains, masks)) if stage.depth else self._embedding_drive(batch)
        u = self._soma(stage, u + _constant(stage, u), masks) + stage.threshold // 2
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
        mask = masks.of(stage)
        u = torch.tensor(float(stage.threshold // 2))
        spikes = []
        for drive in self._step_drives(stage, trains, masks):
            u = (u + drive).clamp(-MEMBRANE_MAX, MEMBRANE_MAX)
            s = _compare(u, stage.threshold, stage.signed)
            u = u - stage.threshold * s
            spikes.append(s * mask)
        return torch.stack(spikes)

    def _step_by_mean(self, stage: Stage, trains: dict[str, Tensor], batch: TokenBatch, masks: _Masks) -> Tensor:
        """The charge of t steps is t times the function of the mean of U: in units of 1/T, so against T theta; float64.

        What was sent on an early mean is taken back, because a charge is compared with all spikes sent before.
        """
        window, order = self.network.timesteps, _order(stage)
        threshold = stage.threshold * window
        low = -threshold if stage.signed else 0
        embedded = None if stage.depth else self._soma(stage, self._embedding_drive(batch), masks)
        drives = self._step_drives(stage, trains, masks)
        mask = masks.of(stage)
        running: NDArray[np.int64] = np.zeros((), np.int64)
        rest = torch.tensor(threshold // 2, dtype=torch.float64)  # half a threshold, less what was sent
        spikes = []
        for t in range(1, self.timeline.steps + 1):
            if embedded is None:
                running = running + _integers(next(drives))
                mean = _floats(running * window**order // t**order)
                z = self._soma(stage, mean + _constant(stage, mean), masks)
            else:
                z = embedded
            s = _compare(rest + t * z.clamp(low, threshold).double(), threshold, stage.signed)
            rest = rest - threshold * s
            spikes.append(s * mask)
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
        for group in stage.synapses:
            n = counts[group.source]
            if stage.tokens == "first":
                n = n[:, :1]
            weight = self._weights[stage.name, group.source]
            u = torch.addcmul(u, n, weight) if group.one_to_one else u + n @ weight
        return u

    def _soma(self, stage: Stage, u: Tensor, masks: _Masks) -> Tensor:
        if stage.soma is None:
            return u
        return _floats(stage.soma(_integers(u), masks.keys if stage.is_scores else None))

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


def _constant(stage: Stage, u: Tensor) -> Tensor:
    """Part of U that no spike adds."""
    return _floats(stage.constant(*u.shape[2:])) if stage.is_scores else torch.zeros(())


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


def _integers(x: Tensor) -> NDArray[np.int64]:
    return x.numpy().astype(np.int64)


def _events(counts: Counts, encoding: Encoding) -> Counts:
    return {name: np.abs(n) if encoding == "rate" else (n != 0).astype(np.int16) for name, n in counts.items()}
