"""From drives to payloads of a streamed network: `spk2loihi.network.requantise`, compiled."""

from __future__ import annotations

import numpy as np

from spk2loihi.choices import Arithmetic
from spk2loihi.compiled import Bytes, Floats, Integers, compiled
from spk2loihi.network.network import Stage


class PayloadFire:
    """Payloads as bytes ``n + zero``."""

    def __init__(self, stage: Stage, zero: int, arithmetic: Arithmetic) -> None:
        r = stage.requantise
        assert r is not None
        self.weight, self.shift, self.limit, self.relu = r.weight, r.shift, r.limit, r.relu
        self.chip = arithmetic == "chip"
        self.half = np.zeros_like(r.half) if self.chip else r.half
        self._zero = zero

    def __call__(self, u: Floats) -> Bytes:
        """Drives (rows, d)."""
        return self.counted(u)[0]

    def counted(self, u: Floats) -> tuple[Bytes, Integers]:
        """Payloads of drives (rows, d); and how many drives are not 0, how many values the range gate stops."""
        out, messages = np.empty(u.shape, np.uint8), np.zeros(2, np.int64)
        fire_payload_rows(
            u, self.half, self.weight, self.shift, self.relu, self.limit, self.chip, self._zero, out, messages, 0,
            out.shape[1],
        )  # fmt: skip
        return out, messages

    def context(self, u: Floats, rows: Integers, out: Bytes) -> Integers:
        """Drives (B, H, rows, d_h) to packed bytes (all rows that exist, d); messages as of `counted`."""
        messages = np.zeros(2, np.int64)
        _fire_context(
            u, rows, self.half, self.weight, self.shift, self.relu, self.limit, self.chip, self._zero, out,
            messages,
        )  # fmt: skip
        return messages


class PayloadScoreFire:
    """Scores (B, H, rows, keys) to payloads, in place."""

    def __init__(self, stage: Stage, arithmetic: Arithmetic) -> None:
        assert stage.requantise is not None and stage.bias is not None
        fire = PayloadFire(stage, 0, arithmetic)
        self.start, self.fire = stage.bias + fire.half, fire

    def __call__(self, u: Floats, rows: Integers, keys: Integers, sums: Integers) -> int:
        """As `SoftmaxFire`."""
        self.counted(u, rows, keys, sums)
        return 0

    def counted(self, u: Floats, rows: Integers, keys: Integers, sums: Integers) -> Integers:
        """The same; messages as of `PayloadFire.counted`."""
        messages = np.zeros(2, np.int64)
        fire = self.fire
        _fire_pairs(
            u, rows, keys, self.start, fire.weight, fire.shift, fire.relu, fire.limit, fire.chip, sums, messages
        )
        return messages


@compiled
def _payload(u: int, weight: int, shift: int, relu: bool, limit: int, chip: bool, messages: Integers) -> int:
    """Payload of a drive that has its half unit."""
    if relu and u < 0:
        u = 0
    messages[0] += u != 0
    product = u * weight
    if chip:
        half = (1 << shift) >> 1
        v = (product + half) >> shift if product >= 0 else -((half - product) >> shift)
    else:
        v = product >> shift
    if -limit <= v <= limit:
        return v
    messages[1] += 1
    return 0


@compiled
def fire_payload_rows(
    u: Floats,
    half: Integers,
    weight: Integers,
    shift: int,
    relu: bool,
    limit: int,
    chip: bool,
    zero: int,
    out: Bytes,
    messages: Integers,
    first: int,
    width: int,
) -> None:
    """Some columns, as of `soma_kernels.fire_affine`."""
    halves, weights = half[first : first + width], weight[first : first + width]
    for row in range(out.shape[0]):
        drive, counts = u[row, :width], out[row, first : first + width]
        for c in range(width):
            v = _payload(np.int64(drive[c]) + halves[c], weights[c], shift, relu, limit, chip, messages)
            counts[c] = np.uint8(v + zero)


@compiled
def _fire_context(
    u: Floats,
    rows: Integers,
    half: Integers,
    weight: Integers,
    shift: int,
    relu: bool,
    limit: int,
    chip: bool,
    zero: int,
    out: Bytes,
    messages: Integers,
) -> None:
    sentences, heads, _, width = u.shape
    at = 0
    for b in range(sentences):
        for h in range(heads):
            for i in range(rows[b]):
                for c in range(width):
                    channel = h * width + c
                    drive = np.int64(u[b, h, i, c]) + half[channel]
                    v = _payload(drive, weight[channel], shift, relu, limit, chip, messages)
                    out[at + i, channel] = np.uint8(v + zero)
        at += rows[b]


@compiled
def _fire_pairs(
    u: Floats,
    rows: Integers,
    keys: Integers,
    start: Integers,
    weight: Integers,
    shift: int,
    relu: bool,
    limit: int,
    chip: bool,
    sums: Integers,
    messages: Integers,
) -> None:
    for b in range(u.shape[0]):
        spikes, sent = np.int64(0), np.int64(0)
        for h in range(u.shape[1]):
            head = u[b, h]
            here, there = fire_payload_pairs(
                head, rows[b], keys[b], start[h], weight[h], shift, relu, limit, chip, messages
            )
            spikes += here
            sent += there
            head[rows[b] :] = np.float32(0)
        sums[0, b], sums[1, b] = spikes, sent


@compiled
def fire_payload_pairs(
    u: Floats,
    rows: int,
    keys: int,
    start: int,
    weight: int,
    shift: int,
    relu: bool,
    limit: int,
    chip: bool,
    messages: Integers,
) -> tuple[np.int64, np.int64]:
    """Scores of one head (rows, keys and what follows) to payloads, in place, 0 beyond ``keys``; spikes, messages."""
    spikes, sent = np.int64(0), np.int64(0)
    for i in range(rows):
        row = u[i]
        for j in range(keys):
            n = _payload(int(row[j]) + start, weight, shift, relu, limit, chip, messages)
            row[j] = np.float32(n)
            spikes += abs(n)
            sent += n != 0
        row[keys:] = np.float32(0)
    return spikes, sent
