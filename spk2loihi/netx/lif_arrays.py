"""Constants of stock LIF neurons, and their arrays as the compiled loops take them."""

from __future__ import annotations

from typing import NamedTuple

from spk2loihi.netx.arrays import Array

STATE_LIMIT = 2**23  # max_uv_val: half the range of the 24-bit u and v
UNITY = 2**12  # decay_unity
SHIFT = 6  # act_shift, vth_shift, and bias_exp of lava/lib/dl/netx/hdf5.py


class LifNeurons(NamedTuple):
    """Parameters, int32 (neurons,).

    Attributes:
        keep_u, keep_v: what u and v keep a step, of 4096, 0 to 4096. keep_u None: nothing.
        threshold, bias: in units of v.
        wide: None where no u or v can reach 24 bits, nor its product with what is kept 32.
    """

    keep_u: Array | None
    keep_v: Array
    threshold: Array
    bias: Array
    wide: bool | None


class LifState(NamedTuple):
    """u and v, int32 (B, neurons), changed by a run. u None: not of interest, where it keeps nothing."""

    u: Array | None
    v: Array


class LifRun(NamedTuple):
    """What a run is told, and where it leaves what it did.

    Attributes:
        rest: before which steps u and v become 0, (steps,).
        sent: 1 for a spike, uint8 (B, steps, neurons), written.
        sums: spikes of each neuron, int32 (B, neurons), written.
        row_of: where the state after a step is recorded, (steps,); -1 for nowhere.
        taped_u, taped_v: recorded states, int32 (B, rows, neurons), written.
    """

    rest: Array
    sent: Array
    sums: Array
    row_of: Array
    taped_u: Array
    taped_v: Array
