"""Convolutions of spikes on a processor's 8-bit units, with the sums of 32-bit integers.

The kernel is oneDNN's convolution of unsigned and signed bytes (`torch.ops.onednn.qconv_pointwise`). Spikes are bytes
of 0 and 1; weights are signed bytes once their common factor is taken out, which the kernel multiplies its sums with.
Processors without VNNI instructions add pairs of products in 16 bits, which bytes of 0 and 1 cannot saturate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.netx.arrays import FLOAT32_EXACT, Array
from spk2loihi.netx.hdf5_access import IntArray

_WEIGHT_MIN, _WEIGHT_MAX = -128, 127
_TRIAL_PLANES = 3

Pair = tuple[int, int]


class ByteConvolution:
    """A convolution of spikes. Arguments as attributes of `synapse.ConvSynapse`; ``mantissa`` times ``factor`` are the
    weights."""

    def __init__(
        self,
        mantissa: NDArray[np.int8],
        factor: int,
        input_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        self._geometry = (stride, padding, dilation, groups)
        self._scales = torch.full((len(mantissa),), float(factor))
        self._zeros = torch.zeros(len(mantissa), dtype=torch.int64)
        x, y, channels = input_shape
        self._packed = torch.ops.onednn.qconv_prepack(
            torch.from_numpy(mantissa), self._scales, 1.0, 0, *self._geometry, [_TRIAL_PLANES, channels, x, y]
        )

    def sums(self, planes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, x, y, channel) of 0 and 1 to whole numbers (N, x, y, channel out)."""
        channels_first = torch.from_numpy(planes).permute(0, 3, 1, 2)  # a view, which torch calls channels_last
        with torch.inference_mode():
            result: Tensor = torch.ops.onednn.qconv_pointwise(
                channels_first, 1.0, 0, self._packed, self._scales, self._zeros, None, *self._geometry,
                1.0, 0, torch.float32, "none", [], "",
            )  # fmt: skip
            last: NDArray[np.float32] = result.permute(0, 2, 3, 1).contiguous().numpy()
        return last


def byte_convolution(
    kernel: IntArray,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    reference: Callable[[Array, int], Array],
) -> ByteConvolution | None:
    """None where bytes do not hold the weights or float32 their sums, or this build of torch has no exact kernel.

    Args:
        reference: the same convolution, of planes and a bound on sums. Every convolution is compared with it once, as
            oneDNN has many kernels and chooses by shape.
    """
    factor = int(np.gcd.reduce(kernel, axis=None)) or 1
    mantissa, bound = kernel // factor, int(np.abs(kernel).sum((1, 2, 3)).max())
    if mantissa.min() < _WEIGHT_MIN or mantissa.max() > _WEIGHT_MAX or bound > FLOAT32_EXACT:
        return None
    trial = np.random.default_rng(0).integers(0, 2, (_TRIAL_PLANES, *input_shape), dtype=np.uint8)
    trial[0] = 1
    try:
        made = ByteConvolution(mantissa.astype(np.int8), factor, input_shape, stride, padding, dilation, groups)
        exact = bool((made.sums(trial) == reference(trial, bound)).all())
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return made if exact else None
