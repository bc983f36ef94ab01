"""From summed drive to spike counts, for the count-based engine: exact, and not by integer arithmetic where slower.

Counts ``n = clip(floor((z(U) + threshold // 2) / threshold))`` leave as bytes ``n + zero``. Soma functions
(`spk2loihi.export.soma`) are integer arithmetic of up to 61 bits, which no vector unit has. What is needed of them is
the integer below a number q, so q is computed in floats and an error bound is kept: where q is closer to an integer
than the bound, the row goes through the integers. GELU is a table made by the integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.export.network import Stage
from spk2loihi.export.soma import (
    E_BITS,
    GAMMA_BITS,
    LN2,
    P_BITS,
    X_BITS,
    Gelu,
    HeadAffine,
    LayerNorm,
    Scale,
    Softmax,
    exponential,
)
from spk2loihi.simulators.byte_products import fires_exactly

_MEAN_MAX = 2.0  # a LayerNorm row whose mean is further from 0 than this many deviations goes through the integers
_NORM_BITS = 22  # a normalised value of the integer LayerNorm is off by less than 2**-22
_TABLE_END = 2.6  # beyond it I-BERT's erf is constant, and GELU is 0 or rises
_BLOCK = 1024  # elements in which a doubtful one is looked for at once

Fire = Callable[[Tensor], Tensor]


class AffineFire:
    """``z = scale * U + offset`` (both may be vectors, one a head). May overwrite U."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        self._most, self._zero = most, zero
        soma, theta = stage.soma, stage.threshold
        scale, offset = np.ones(1, np.int64), np.zeros(1, np.int64)
        exact = fires_exactly(theta, most)
        if isinstance(soma, Scale):
            scale = scale << soma.exponent
        elif isinstance(soma, HeadAffine):
            scale, offset = soma.weight[:, None, None], soma.bias[:, None, None]
            largest = stage.max_drive * int(np.abs(scale).max()) + int(np.abs(offset).max())
            exact = exact and largest + theta * (2 * most + 2) < 2**20  # two large terms may cancel
        self._dtype = torch.float32 if exact else torch.float64
        # Half a unit keeps the quotient of an integer and the threshold off integers.
        self._scale = torch.from_numpy(scale / theta).to(self._dtype)
        self._offset = torch.from_numpy((offset + theta // 2 + 0.5) / theta + zero).to(self._dtype)
        if not isinstance(soma, HeadAffine):
            self._scale, self._offset = self._scale[0], self._offset[0]

    def __call__(self, u: Tensor) -> Tensor:
        q = u.to(self._dtype).mul_(self._scale).add_(self._offset)
        return _bytes(_clamp(q, self._zero, self._most))


class LayerNormFire:
    """torch's LayerNorm in float32; doubtful rows in float64; rows still in doubt in integers."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        assert isinstance(stage.soma, LayerNorm)
        self._stage, self._zero, self._most = stage, zero, most
        theta, unit = stage.threshold, 2.0**-GAMMA_BITS
        gamma, beta = stage.soma.gamma * unit, stage.soma.beta * unit
        largest = float(np.abs(gamma).max() / theta)
        beyond = 2 * most + 2 + float(np.abs(beta).max() / theta)  # counts that matter, beta taken off
        # The integer row is shifted until its squares sum to 2**59 or more, so its root mean square is 2**29.5/sqrt(d)
        # or more, and its deviation, which is rounded by 1 at most, not far less. Means are rounded likewise.
        deviation = 2**29 / math.sqrt(stage.channels) / math.sqrt(1 + _MEAN_MAX**2)
        integers = 2 * (beyond / deviation + largest * (2 / deviation + 2**-_NORM_BITS)) + 1e-9
        # float32: sums of d terms in vector lanes, then a handful of roundings of terms up to `_MEAN_MAX` deviations.
        floats = (beyond + _MEAN_MAX * largest) * (16 + math.sqrt(stage.channels)) * 2**-24
        self._doubt = {torch.float32: integers + floats, torch.float64: integers}
        self._parameters = {
            dtype: (
                torch.from_numpy(gamma / theta).to(dtype),
                torch.from_numpy((beta + theta // 2 + 0.5) / theta + zero).to(dtype),
            )
            for dtype in self._doubt
        }

    def __call__(self, u: Tensor) -> Tensor:
        gamma, beta = self._parameters[u.dtype]
        q, mean, rstd = torch.native_layer_norm(u, (u.shape[-1],), gamma, beta, 0.0)
        m = _bytes(_clamp(q, self._zero, self._most))
        off = q.frac_().sub_(0.5).abs_().amax(-1)
        sound = ((mean * rstd).abs_() <= _MEAN_MAX).squeeze(-1) & (off < 0.5 - self._doubt[u.dtype])
        if not sound.all():  # also where the deviation is 0 and q not a number
            rows = (~sound).nonzero().squeeze(-1)
            again = u[rows]
            if u.dtype == torch.float32:
                m[rows] = self(again.double())
            else:
                m[rows] = exact_bytes(self._stage, again, self._zero, self._most)
        return m


class GeluFire:
    """A table over U for each exponent of a channel. Its product adds `offset` to U, so that U becomes an index."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        assert isinstance(stage.soma, Gelu)
        classes, which = np.unique(stage.soma.exponent, return_inverse=True)
        tables, start, low, middle = [], 0, [], []
        for exponent in classes:
            one = replace(stage, soma=replace(stage.soma, exponent=exponent))
            reach = 1024
            while reach < stage.max_drive and not self._constant(one, reach, zero, most):
                reach *= 2
            tables.append(exact_bytes(one, torch.arange(-reach, reach + 1), zero, most))
            low.append(start)
            middle.append(start + reach)
            start += 2 * reach + 1
        self._table = torch.cat(tables)
        self.offset = np.array(middle, np.float64)[which]
        high = np.array([*low[1:], start]) - 1
        self._low, self._high = (torch.tensor(np.array(x, np.float32)[which]) for x in (low, high))

    @staticmethod
    def _constant(stage: Stage, reach: int, zero: int, most: int) -> bool:
        assert isinstance(stage.soma, Gelu)
        x = int(stage.soma.scale(np.array([reach]))[0])
        top = int(exact_bytes(stage, torch.tensor([reach]), zero, most))
        return x > _TABLE_END * 2**X_BITS and top == zero + most

    def __call__(self, u: Tensor) -> Tensor:
        index = torch.clamp(u, self._low, self._high, out=u).to(torch.int32)
        return self._table.index_select(0, index.view(-1)).view(index.shape)


class SoftmaxFire:
    """Exponentials from a table over the distance to the largest score of the row.

    The integers scale a score before they take the distance, so their argument is that of the table or one unit of
    2**-24 off.
    """

    def __init__(self, stage: Stage, most: int, keys: int) -> None:
        """``keys`` is the most a row can have."""
        assert isinstance(stage.soma, Softmax)
        self._soma, self._stage, self._most = stage.soma, stage, most
        scale, gain = stage.soma.scale, stage.soma.gain
        silent = math.ceil((E_BITS + 2) * LN2 * 2**scale.shift / scale.mantissa)  # farther scores have no exponential
        x = -scale(np.arange(min(silent, 2 * stage.max_drive) + 1))
        e, near = exponential(x), [exponential(np.minimum(x + unit, 0)) for unit in (-1, 1)]
        self._table = torch.from_numpy(np.append(e, 0).astype(np.float32))
        self.masked = -4.0 * len(x) - 4.0 * stage.max_drive  # added to a score, takes it off the table
        self._spikes = gain.mantissa * 2.0 ** (P_BITS - gain.shift) / stage.threshold  # of a probability of 1
        self._offset = (stage.threshold // 2 + 0.5) / stage.threshold
        off = max(float((np.maximum(np.abs(other - e) - 2, 0) / np.maximum(e, 1)).max()) for other in near)
        relative = 2 * off + keys * 2.0 ** (2 - E_BITS) + (keys + 8) * 2.0**-24  # the last: float32
        self._doubt = 2 * ((most + 2) * relative + self._spikes * 2.0 ** (2 - P_BITS))

    def __call__(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """Counts, float32, of scores (B, H, rows, keys).

        ``mask`` (B, 1, 1, keys) is 0 where a key exists, else `masked`; None if all do.
        """
        scores = u if mask is None else u + mask
        distance = (scores.amax(-1, keepdim=True) - scores).clamp_(max=len(self._table) - 1).to(torch.int32)
        e = self._table.index_select(0, distance.view(-1)).view(u.shape)
        q = e.mul_(self._spikes / e.sum(-1, keepdim=True)).add_(self._offset).clamp_(max=self._most + 0.5)
        off = q.frac()
        n = q.sub_(off)
        off.sub_(0.5).abs_()
        self._settle(_at_least(off.view(-1), 0.5 - self._doubt), u, mask, n)
        return n

    def _settle(self, doubtful: Tensor, u: Tensor, mask: Tensor | None, n: Tensor) -> None:
        """Rows of ``n`` with doubtful elements, once more through the integers."""
        if not len(doubtful):
            return
        _, heads, rows, keys = u.shape
        row = torch.unique(doubtful // keys)
        z = u.view(-1, keys)[row].numpy().astype(np.int64)
        exist = None if mask is None else (mask.view(-1, keys)[row // (heads * rows)] == 0).numpy()
        fired = _counts(self._soma(z, exist), self._stage, 0, self._most)
        n.view(-1, keys)[row] = torch.from_numpy(fired.astype(np.float32))


def _at_least(x: Tensor, limit: float) -> Tensor:
    """Indices of the elements of ``x`` (N,) of at least ``limit``, if there are few: block by block."""
    blocks = x[: len(x) // _BLOCK * _BLOCK].view(-1, _BLOCK)
    found = (blocks.amax(1) >= limit).nonzero() if len(blocks) else torch.zeros(0, 1, dtype=torch.int64)
    inside = (blocks[found[:, 0]] >= limit).nonzero()
    rest = len(x) - len(x) % _BLOCK
    return torch.cat([found[inside[:, 0], 0] * _BLOCK + inside[:, 1], (x[rest:] >= limit).nonzero()[:, 0] + rest])


def exact_bytes(stage: Stage, u: Tensor, zero: int, most: int) -> Tensor:
    """Through the integers: any soma function but softmax."""
    z = u.numpy().astype(np.int64)
    if stage.soma is not None:
        z = stage.soma(z)
    return torch.from_numpy((_counts(z, stage, zero, most) + zero).astype(np.uint8))


def _counts(z: NDArray[np.int64], stage: Stage, zero: int, most: int) -> NDArray[np.int64]:
    return np.clip((z + stage.threshold // 2) // stage.threshold, -most if zero else 0, most)


def _clamp(q: Tensor, zero: int, most: int) -> Tensor:
    """Numbers beyond the counts, and none that were not, are moved to where their integer part is the nearest count.

    Half-way between integers, so that they are not taken for doubtful.
    """
    return q.clamp_(0.5, zero + most + 0.5)


def _bytes(q: Tensor) -> Tensor:
    return q.to(torch.int32).to(torch.uint8)  # truncates; faster than at once
