"""CPU process models of the synapses: what they compute in one time step. NumPy only, never torch.

Models take turns in one OS process, or have one each, as in Lava itself
(lava/magma/runtime/message_infrastructure/multiprocessing.py). They keep Lava's order of a step: synapses send the
accumulation of the step before, then receive; neurons receive, then send. So every synapse takes one step, as on Loihi.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv import utils
from lava.proc.conv.process import Conv
from numpy.typing import NDArray

from spk2loihi.network.network import Attention
from spk2loihi.simulators.lava.channels import DirectInPort, is_silent, silence
from spk2loihi.simulators.lava.packing import Grid
from spk2loihi.simulators.lava.procs.synapses import BilinearSynapse, OneToOneSynapse
from spk2loihi.simulators.lava.shared_memory import Timing

_FLOAT32_EXACT = 2**24  # sums of integers below this are exact in float32, whatever their order
_SYNAPSE_BITS = 24  # lava.proc.conv.models.PyConvModelFixed.clamp_precision


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyTokenConvModel(PyLoihiProcessModel):
    """``lava.proc.conv.models.PyConvModelFixed`` for kernels of 1x1, bit for bit, as one matrix product.

    Rows without a spike are skipped, and a step without any costs nothing. The product is taken in floats, in which
    it is exact: in float32 while no sum can reach 2**24, in float64 otherwise.
    """

    s_in: DirectInPort = LavaPyType(DirectInPort, np.int8, precision=8)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    a_buf: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=24)
    weight: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=8)
    weight_exp: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=8)
    num_weight_bits: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=5)
    num_message_bits: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=5)
    kernel_size: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=8)
    stride: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=8)
    padding: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=8)
    dilation: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=8)
    groups: NDArray[np.int8] = LavaPyType(np.ndarray, np.int8, precision=8)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._matrix: NDArray[np.float32] | None = None  # (d_in, d_out)
        self._largest = 0
        self._silence: NDArray[np.int32] | None = None

    def run_spk(self) -> None:
        if self._matrix is None:
            self._prepare()
        self.a_out.send(self.a_buf)
        self.a_buf = self._accumulate(self.s_in.recv())

    def _prepare(self) -> None:
        if self.weight.shape[1:3] != (1, 1) or (self.stride != 1).any() or self.padding.any() or self.groups[0] != 1:
            raise NotImplementedError("PyTokenConvModel is for 1x1 kernels of stride 1 without padding and groups")
        matrix = self.weight[:, 0, 0].T
        self._matrix = np.ascontiguousarray(matrix, np.float32)
        self._largest = int(np.abs(matrix.astype(np.int64)).sum(0).max())
        self._silence = silence(self.a_buf.shape, np.int32)

    def _accumulate(self, s_in: NDArray[np.int8]) -> NDArray[np.int32]:
        """Drive (slots, 1, d_out) of the spikes (slots, 1, d_in)."""
        assert self._matrix is not None
        assert self._silence is not None
        if is_silent(s_in):
            return self._silence
        if self.num_message_bits[0] == 0:
            s_in = s_in.astype(bool)
        (rows,) = s_in.any((1, 2)).nonzero()
        spikes = s_in[rows, 0].astype(np.float32)
        bound = self._largest * int(np.abs(spikes).max())
        exact = self._matrix if bound < _FLOAT32_EXACT else self._matrix.astype(np.float64)
        drive = np.zeros_like(self._silence)
        drive[rows, 0] = spikes @ exact
        return drive if bound < 2 ** (_SYNAPSE_BITS - 1) else utils.signed_clamp(drive, bits=_SYNAPSE_BITS)


@implements(proc=OneToOneSynapse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyOneToOneSynapseModel(PyLoihiProcessModel):
    s_in: DirectInPort = LavaPyType(DirectInPort, np.int8, precision=8)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    weight: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._line = _DelayLine(proc_params["shape"], proc_params["delay"] + 1)

    def run_spk(self) -> None:
        spikes = self._line.oldest
        self.a_out.send(spikes if is_silent(spikes) else spikes * self.weight)
        self._line.push(self.s_in.recv())


@implements(proc=BilinearSynapse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyBilinearSynapseModel(PyLoihiProcessModel):
    """Batched matrix products over lanes and heads, exact in floats; products with silent spikes are skipped."""

    left: DirectInPort = LavaPyType(DirectInPort, np.int8, precision=8)
    right: DirectInPort = LavaPyType(DirectInPort, np.int8, precision=8)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._attention: Attention = proc_params["attention"]
        self._grid: Grid = proc_params["grid"]
        self._heads: int = proc_params["heads"]
        self._timing: Timing = proc_params["timing"]
        self._dtype = np.float32 if proc_params["bound"] < _FLOAT32_EXACT else np.float64
        left, right, out = (proc_params[f"{side}_shape"] for side in ("left", "right", "out"))
        self._lines = _DelayLine(left, self._attention.left_delay), _DelayLine(right, self._attention.right_delay)
        self._silence = silence(out, np.int32)
        self._drive = self._silence
        self._counts = [self._by_head(np.zeros(shape, np.int8)) for shape in (left, right)]
        self._leak, self._one = self._timing.leak, self._timing.leak.largest(1)

    def run_spk(self) -> None:
        self.a_out.send(self._drive)
        if self._timing.step_of_run(self.time_step) == 1:
            for counts in self._counts:
                counts[:] = 0
        spikes = [line.push(port.recv()) for line, port in zip(self._lines, (self.left, self.right), strict=True)]
        self._drive = self._accumulate(*spikes)

    def _accumulate(self, left: NDArray[np.int8], right: NDArray[np.int8]) -> NDArray[np.int32]:
        """Drive of one step's spikes; updates the fast weights, which leak first."""
        left_counts, right_counts = self._counts
        if self._leak.decay:
            for counts in self._counts:
                counts[:] = self._leak(counts.astype(np.int64))
        drive: NDArray[Any] | None = None
        if not is_silent(right):
            spikes = self._by_head(right)
            right_counts += spikes * self._one
            if left_counts.any():
                drive = self._product(left_counts, spikes)
        if not is_silent(left):
            spikes = self._by_head(left)
            product = self._product(spikes, right_counts)
            drive = product if drive is None else drive + product
            left_counts += spikes * self._one
        return self._silence if drive is None else drive.astype(np.int32)

    def _by_head(self, spikes: NDArray[np.int8]) -> NDArray[Any]:
        """(lanes, H, width, ...) floats: d_h last, or scores as they are."""
        if spikes.ndim == 4:
            return spikes.astype(self._dtype)
        split = spikes.reshape(self._grid.lanes, self._grid.width, self._heads, -1)
        return split.transpose(0, 2, 1, 3).astype(self._dtype)

    def _product(self, left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        if self._attention.kind == "scores":
            return left @ right.swapaxes(-1, -2)
        return (left @ right).transpose(0, 2, 1, 3).reshape(self._silence.shape)


class _DelayLine:
    """Spikes of ``delay`` steps, oldest first, silent at the start."""

    def __init__(self, shape: tuple[int, ...], delay: int) -> None:
        self._silence = silence(shape, np.int8)
        self._line = deque([self._silence] * delay)

    @property
    def oldest(self) -> NDArray[np.int8]:
        return self._line[0]

    def push(self, spikes: NDArray[np.int8]) -> NDArray[np.int8]:
        """Takes the spikes of this step, gives those of ``delay`` steps ago."""
        self._line.append(self._silence if is_silent(spikes) else spikes.copy())
        return self._line.popleft()
