"""The linear part between two populations: nodes without a state, multiplied into one matrix or one convolution.

Shapes are NIR's: (channel, y, x), or (neurons,). What a map reads or makes is in this order where it is flat, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from spk2loihi.errors import UserError
from spk2loihi.limits import DELAY_MAX
from spk2loihi.netx.nir_file import Node, Values

Shape = tuple[int, ...]
Pair = tuple[int, int]

_SYNAPSES_MAX = 1 << 24  # of a matrix that a convolution is written out to: 128 MiB of floats


@dataclass(frozen=True)
class LinearMap:
    """``y = W x``, of one step.

    Attributes:
        weight: (outputs, inputs), or a kernel (out, in of a group, y, x); None for the identity.
        input_shape, output_shape: (channel, y, x), (channel, x), or (neurons,).
        stride, padding, dilation: (y, x), of a kernel.
        delay: steps, (outputs, inputs) or what broadcasts to it; None without delays.
    """

    weight: Values | None
    input_shape: Shape
    output_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    delay: Values | None = None

    @classmethod
    def identity(cls, shape: Shape) -> LinearMap:
        return cls(None, shape, shape)

    @property
    def is_kernel(self) -> bool:
        return self.weight is not None and self.weight.ndim == 4

    def then(self, after: LinearMap) -> LinearMap:
        """First this one, then ``after``. A convolution where that is one, else a matrix.

        Raises:
            UserError: the matrix would be larger than this program makes one, or delays meet.
        """
        if self.delay is not None or after.delay is not None:
            return self._delayed(after)
        if after.weight is None and (not self.is_kernel or after.input_shape == after.output_shape):
            return replace(self, output_shape=after.output_shape)
        if self.weight is None and (not after.is_kernel or self.input_shape == self.output_shape):
            return replace(after, input_shape=self.input_shape)
        if self.is_kernel and after.is_kernel and (joined := _one_kernel(self, after)) is not None:
            return joined
        weight = after.as_matrix().filled @ self.as_matrix().filled
        return LinearMap(weight, self.input_shape, after.output_shape)

    def _delayed(self, after: LinearMap) -> LinearMap:
        """A delay of each input before weights, or of each output after them."""
        if after.weight is None and after.delay is None:
            return replace(self if not self.is_kernel else self.as_matrix(), output_shape=after.output_shape)
        if self.weight is None and after.delay is None:
            return replace(after.as_matrix(), input_shape=self.input_shape, delay=self.delay)
        if after.weight is None and after.delay is not None and self.delay is None:
            if self.weight is None:
                return replace(after, input_shape=self.input_shape)
            return replace(self.as_matrix(), output_shape=after.output_shape, delay=after.delay.reshape(-1, 1))
        raise UserError("a NIR Delay stands between weights, or meets another one: keep one on each way to neurons")

    @property
    def filled(self) -> Values:
        assert self.weight is not None
        return self.weight

    def scaled(self, gain: Values) -> LinearMap:
        """Every output times its gain, of the shape of the outputs; a kernel if those of a channel share it."""
        rows = np.broadcast_to(gain, self.output_shape).reshape(self.output_shape[0], -1)
        if self.is_kernel and np.allclose(rows, rows[:, :1], rtol=1e-6, atol=0):
            return replace(self, weight=self.filled * rows[:, 0].reshape(-1, 1, 1, 1))
        flat = self.as_matrix()
        return replace(flat, weight=flat.filled * rows.reshape(-1, 1))

    def as_matrix(self) -> LinearMap:
        """The same, with a weight (outputs, inputs)."""
        if self.weight is not None and not self.is_kernel:
            return self
        inputs, outputs = math.prod(self.input_shape), math.prod(self.output_shape)
        if inputs * outputs > _SYNAPSES_MAX:
            raise UserError(
                f"a NIR convolution or pooling from {self.input_shape} to {self.output_shape} has to be written out as "
                f"a matrix of {inputs:,} x {outputs:,}, and at most {_SYNAPSES_MAX:,} weights are made: give the next "
                "nodes sizes and strides that divide the input, or choose a smaller network"
            )
        units = np.eye(inputs).reshape(inputs, *self.input_shape)
        matrix = np.ascontiguousarray(self.apply(units).reshape(inputs, outputs).T)
        return LinearMap(matrix, self.input_shape, self.output_shape, delay=self.delay)

    def apply(self, values: Values) -> Values:
        """(B, *input_shape) to (B, *output_shape); delays are left out."""
        if self.weight is None:
            return values.reshape(len(values), *self.output_shape)
        if not self.is_kernel:
            return (values.reshape(len(values), -1) @ self.weight.T).reshape(len(values), *self.output_shape)
        size, (y, x) = _planes(self.output_shape), self.stride
        padded = np.pad(
            values.reshape(len(values), *_planes(self.input_shape)),
            [(0, 0), (0, 0), *((each, each) for each in self.padding)],
        )
        kernel = full_kernel(self.weight, self.groups)
        sums = np.zeros((len(values), *size))
        for tap_y, tap_x in np.ndindex(*kernel.shape[2:]):
            top, left = tap_y * self.dilation[0], tap_x * self.dilation[1]
            met = padded[:, :, top : top + (size[1] - 1) * y + 1 : y, left : left + (size[2] - 1) * x + 1 : x]
            sums += np.einsum("oi,biyx->boyx", kernel[:, :, tap_y, tap_x], met)
        return sums.reshape(len(values), *self.output_shape)


def node_map(node: Node, arriving: Shape, dt: float, whole_delays: bool) -> LinearMap:
    """What a node without a state does to what arrives, without its bias (`node_bias`).

    Args:
        dt: seconds a step.
        whole_delays: refuse a delay that is no whole number of steps, else round it.

    Raises:
        UserError: the shape does not fit the node, or a delay is longer than a chip keeps.
    """
    if node.kind == "Pass":
        return LinearMap.identity(arriving)
    if node.kind == "Flatten":
        return LinearMap(None, arriving, _flattened(node, arriving))
    if node.kind == "Delay":
        return replace(LinearMap.identity(arriving), delay=_steps(node, arriving, dt, whole_delays))
    if node.kind == "Scale":
        return _scale(node, arriving)
    if node.kind in ("Linear", "Affine"):
        weight = node["weight"]
        if weight.ndim != 2 or arriving[-1:] != weight.shape[1:] or math.prod(arriving) != weight.shape[1]:
            raise node.refusal(
                f"has a weight {weight.shape}, and {arriving} arrive", "put a Flatten before it, or correct the weight"
            )
        return LinearMap(weight, arriving, (len(weight),))
    return _kernel_map(node, arriving)


def node_bias(node: Node, shape: Shape) -> Values:
    """What a node adds to its outputs, of the shape of its outputs."""
    if node.kind not in ("Affine", "Conv1d", "Conv2d") or "bias" not in node.values:
        return np.zeros(shape)
    bias = node["bias"]
    if bias.shape != shape[:1]:
        raise node.refusal(f"has a bias {bias.shape} of {shape[0]} channels", "give one a channel")
    return np.broadcast_to(bias.reshape(-1, *[1] * (len(shape) - 1)), shape)


def full_kernel(kernel: Values, groups: int) -> Values:
    """A kernel (out, in of a group, y, x) as one of a single group."""
    if groups == 1:
        return kernel
    out, into = kernel.shape[:2]
    full = np.zeros((out, into * groups, *kernel.shape[2:]))
    for group in range(groups):
        rows = slice(group * out // groups, (group + 1) * out // groups)
        full[rows, group * into : (group + 1) * into] = kernel[rows]
    return full


def _kernel_map(node: Node, arriving: Shape) -> LinearMap:
    """Convolutions and pooling. One dimension is two, with a y of 1."""
    flat = node.kind == "Conv1d"
    if len(arriving) != (2 if flat else 3):
        axes = "(channel, x)" if flat else "(channel, y, x)"
        raise node.refusal(f"takes {axes}, and {arriving} arrive", "correct the shape of the Input")
    planes = _planes(arriving)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        size = _pair(node, "kernel_size", False)
        share = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(size)
        weight, groups = np.full((planes[0], 1, *size), share), planes[0]
        dilation = (1, 1)
    else:
        weight, groups = node["weight"], int(node["groups"].reshape(-1)[0])
        weight = weight[:, :, None] if flat and weight.ndim == 3 else weight
        dilation = _pair(node, "dilation", flat)
    if weight.ndim != 4 or groups < 1 or weight.shape[1] * groups != planes[0] or len(weight) % groups:
        raise node.refusal(
            f"has a weight {weight.shape} in {groups} groups, and {planes[0]} channels arrive", "correct the weight"
        )
    stride = _pair(node, "stride", flat)
    reach = [each * (taps - 1) + 1 for each, taps in zip(dilation, weight.shape[2:], strict=True)]
    padding = _padding(node, flat, stride, reach)
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise node.refusal(f"has stride {stride}, dilation {dilation} and padding {padding}", "give 1 (0) or more")
    size_y, size_x = ((planes[axis + 1] + 2 * padding[axis] - reach[axis]) // stride[axis] + 1 for axis in range(2))
    if min(size_y, size_x) < 1:
        raise node.refusal(f"has a kernel larger than what arrives, {arriving}", "correct the shape of the Input")
    shape = (len(weight), size_x) if flat else (len(weight), size_y, size_x)
    return LinearMap(weight, arriving, shape, stride, padding, dilation, groups)


def _one_kernel(first: LinearMap, then: LinearMap) -> LinearMap | None:
    """Two convolutions as one; None where the border makes that wrong.

    Beyond the border of what ``first`` makes, ``then`` meets zeros. So ``first`` continued beyond it has to meet
    nothing but its own padding.
    """
    inside, made, last = _planes(first.input_shape), _planes(first.output_shape), _planes(then.output_shape)
    assert first.weight is not None and then.weight is not None
    taps, tops = first.weight.shape[2:], then.weight.shape[2:]
    for axis in range(2):
        stride, padding, reach = first.stride[axis], first.padding[axis], first.dilation[axis] * (taps[axis] - 1)
        if then.padding[axis] and (
            reach - stride - padding >= 0 or made[axis + 1] * stride - padding < inside[axis + 1]
        ):
            return None
    steps = [then.dilation[a] * first.stride[a] for a in range(2)]
    size = [steps[a] * (tops[a] - 1) + first.dilation[a] * (taps[a] - 1) + 1 for a in range(2)]
    strides = [first.stride[a] * then.stride[a] for a in range(2)]
    pads = [then.padding[a] * first.stride[a] + first.padding[a] for a in range(2)]
    if any((inside[a + 1] + 2 * pads[a] - size[a]) // strides[a] + 1 != last[a + 1] for a in range(2)):
        return None
    one, two = full_kernel(first.weight, first.groups), full_kernel(then.weight, then.groups)
    kernel = np.zeros((len(two), one.shape[1], *size))
    for above_y, above_x in np.ndindex(*tops):
        for below_y, below_x in np.ndindex(*taps):
            y = above_y * steps[0] + below_y * first.dilation[0]
            x = above_x * steps[1] + below_x * first.dilation[1]
            kernel[:, :, y, x] += two[:, :, above_y, above_x] @ one[:, :, below_y, below_x]
    return LinearMap(kernel, first.input_shape, then.output_shape, (strides[0], strides[1]), (pads[0], pads[1]))


def _scale(node: Node, arriving: Shape) -> LinearMap:
    scale = node["scale"]
    try:
        each = np.broadcast_to(scale, arriving)
    except ValueError:
        raise node.refusal(f"has a scale {scale.shape}, and {arriving} arrive", "give one a value") from None
    rows = each.reshape(arriving[0], -1)
    if len(arriving) > 1 and (rows == rows[:, :1]).all():
        weight = rows[:, 0].reshape(-1, 1, 1, 1).copy()
        return LinearMap(weight, arriving, arriving, groups=arriving[0])
    return LinearMap(np.diag(each.reshape(-1)), arriving, arriving)


def _steps(node: Node, arriving: Shape, dt: float, whole: bool) -> Values:
    exact = node["delay"] / dt
    steps = np.rint(exact)
    if whole and (np.abs(exact - steps) > 1e-6 * np.abs(exact)).any():
        raise node.refusal(
            f"delays by {float(exact.reshape(-1)[0]):.6g} steps, not a whole number", "choose another `dt`"
        )
    if steps.min() < 0 or steps.max() > DELAY_MAX:
        remedy = f"stay within 0 to {DELAY_MAX}, or choose a larger `dt`"
        raise node.refusal(f"delays by up to {int(steps.max())} steps", remedy)
    try:
        return np.broadcast_to(steps, arriving).reshape(-1)
    except ValueError:
        raise node.refusal(f"has delays {steps.shape}, and {arriving} arrive", "give one a value") from None


def _flattened(node: Node, arriving: Shape) -> Shape:
    """Without axes of samples, which NIR does not have."""
    start = int(node.values.get("start_dim", np.array(1.0)))
    end = int(node.values.get("end_dim", np.array(-1.0)))
    count = len(arriving)
    start, end = (axis + count if axis < 0 else axis for axis in (start, end))
    if not 0 <= start <= end < count:
        if count == 1:
            return arriving
        raise node.refusal(f"flattens axes {start} to {end} of {arriving}", "choose axes that are there")
    return (*arriving[:start], math.prod(arriving[start : end + 1]), *arriving[end + 1 :])


def _pair(node: Node, name: str, flat: bool) -> Pair:
    """(y, x) of one number or two; (1, n) of one dimension, (0, n) of its padding."""
    values = [int(each) for each in node[name].reshape(-1)]
    if flat:
        return (0 if name == "padding" else 1), values[0]
    return values[0], values[-1]


def _padding(node: Node, flat: bool, stride: Pair, reach: list[int]) -> Pair:
    word = node.texts.get("padding")
    if word is None:
        return _pair(node, "padding", flat)
    if word == "valid":
        return 0, 0
    if word != "same" or stride != (1, 1) or any((each - 1) % 2 for each in reach):
        raise node.refusal(f"has the padding {word!r}, which is not the same on both sides here", "give it as numbers")
    return (reach[0] - 1) // 2, (reach[1] - 1) // 2


def _planes(shape: Shape) -> tuple[int, int, int]:
    """(channel, y, x) of (channel, y, x), (channel, x) or (neurons,)."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], 1, 1)
