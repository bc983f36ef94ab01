"""A pipelined run of one sentence in plain Python integers, from docs/equations.md and no code of the simulators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage

Ints = NDArray[np.object_]
F = 12  # fractional bits of a leaky sum


def leaked(x: Ints, decay: int) -> Ints:
    """Kept shares, rounded towards zero."""
    return np.frompyfunc(lambda each: int(np.sign(each)) * (abs(each) * (4096 - decay) // 4096), 1, 1)(x)


class Reference:
    """Spikes of every stage and step, (steps, tokens, d) or (steps, heads, tokens, tokens), and the answer."""

    def __init__(self, network: Network, batch: TokenBatch, sample: int, steps: int) -> None:
        self.network, self.steps, self.decay = network, steps, network.decay
        self.bits = F if network.decay else 0
        length = int(batch.lengths[sample])
        tables, ids, types = network.embedding, batch.input_ids[sample, :length], batch.token_type_ids[sample, :length]
        self.embedded = (tables.word[ids] + tables.position[:length] + tables.token_type[types]).astype(object)
        self.weight = [0]
        for _ in range(steps):
            self.weight.append(self.weight[-1] * (4096 - self.decay) // 4096 + (1 << self.bits))
        self.length, self.trains = length, dict[str, list[Ints]]()
        for stage in network.stages:
            if not stage.fires:
                self.answer = self._readout(stage)
            elif stage.soma is None and stage.attention is None:
                self.trains[stage.name] = self._linear(stage)
            else:
                self.trains[stage.name] = self._by_mean(stage)

    def _rows(self, stage: Stage, x: Ints) -> Ints:
        return x[..., :1, :] if stage.tokens == "first" else x

    def _drive(self, stage: Stage, t: int) -> Ints:
        u: Ints = np.tile(stage.bias.astype(object), (1 if stage.tokens == "first" else self.length, 1))
        for group in stage.synapses:
            if group.source != stage.name:
                matrix = (np.diag(group.weight) if group.weight.ndim == 1 else group.weight) * 2**group.exponent
                u = u + self._rows(stage, self.trains[group.source][t]) @ matrix.astype(object).T
        return u

    def _compare(self, stage: Stage, u: Ints, threshold: int) -> Ints:
        return (u >= threshold).astype(object) - ((u < 0).astype(object) if stage.signed else 0)

    def _linear(self, stage: Stage) -> list[Ints]:
        half, most, own = stage.threshold // 2, 2**23 - 1, None
        for group in stage.synapses:
            if group.source == stage.name:
                own = (group.weight * 2**group.exponent).astype(object)
        v: Ints = np.zeros((1, 1), object)
        spikes: list[Ints] = []
        for t in range(self.steps):
            drive = self._drive(stage, t)
            if own is not None and t:
                drive = drive + spikes[t - 1] @ own.T
            u = np.clip(leaked(v, self.decay) + half + drive, -most, most)
            spikes.append(self._compare(stage, u, stage.threshold))
            v = u - stage.threshold * spikes[-1] - half
        return spikes

    def _by_mean(self, stage: Stage) -> list[Ints]:
        window, bits = self.network.timesteps, self.bits
        threshold = stage.threshold * window
        total = sent = np.zeros((1, 1), object)
        left = right = np.zeros((1, 1), object)
        spikes: list[Ints] = []
        for t in range(self.steps):
            w = self.weight[t + 1]
            if not stage.depth:
                mean = self.embedded
            elif stage.attention is None:
                total = leaked(total, self.decay) + self._drive(stage, t) * 2**bits
                mean = total * window // w
            else:
                a = stage.attention
                l_t, r_t = self._rows(stage, self.trains[a.left][t]), self.trains[a.right][t]
                left, right = leaked(left, self.decay), leaked(right, self.decay) + r_t * 2**bits
                product = self._attend(stage, l_t, right) + self._attend(stage, left + 0 * l_t, r_t)
                left = left + l_t * 2**bits
                total = leaked(leaked(total, self.decay), self.decay) + product
                mean = total * window**2 // (w * w >> bits)
            z = mean.astype(np.int64) if stage.soma is None else stage.soma(mean.astype(np.int64))
            z = np.clip(z, -threshold if stage.signed else 0, threshold).astype(object)
            sent = leaked(sent, self.decay)
            u = z * w - threshold * sent + (threshold // 2) * 2**bits
            spikes.append(self._compare(stage, u, threshold * 2**bits))
            sent = sent + spikes[-1] * 2**bits
        return spikes

    def _attend(self, stage: Stage, left: Ints, right: Ints) -> Ints:
        width = right.shape[-1] // stage.heads
        heads = [right[:, h * width : (h + 1) * width] for h in range(stage.heads)]
        if stage.is_scores:
            return np.stack([left[:, h * width : (h + 1) * width] @ each.T for h, each in enumerate(heads)])
        return np.concatenate([left[h] @ each for h, each in enumerate(heads)], axis=1)

    def _readout(self, stage: Stage) -> Ints:
        total: Ints = np.zeros((1, 1), object)
        for t in range(self.steps):
            total = leaked(total, self.decay) + self._drive(stage, t) * 2**self.bits
        return total * self.network.timesteps // self.weight[-1]
