"""What of a netx or NIR file a Loihi 2 would not take as it is, found before a compiler gives up or a board hangs.

Every finding names the layer, the limit, the value, the remedy and where the limit is from. `certainty` says how firm
it is: ``documented`` by Intel or in Lava's models of the chip, ``inferred`` from its compiler's output, ``reported`` by
one user, ``unknown`` where nothing is published either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spk2loihi.fit.boards import Board
from spk2loihi.fit.chip_limits import WEIGHT_WIDTH
from spk2loihi.hdf5 import Dataset, Group
from spk2loihi.limits import BIAS_BITS, BIAS_MAX, DELAY_MAX, THRESHOLD_BITS, THRESHOLD_MAX
from spk2loihi.netx.dense import stored_bits
from spk2loihi.netx.hdf5_access import weights_in
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.lif import HardResetLif
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.resonator import Resonator

if TYPE_CHECKING:
    from spk2loihi.simulators.file_input import FileInput

_LIF_MODEL = "lava.proc.lif.models: precision of bias_mant, vth, du and dv in AbstractPyLifModelFixed"
_LIF_DOCUMENTATION = 'lava.proc.lif.process.LIF: "only a single threshold can be set for the entire population"'
_DELAYS = "lava.lib.dl.netx.utils.num_delay_bits"
_FLOOD = "github.com/lava-nc/lava/issues/826"
#: Bits of a decay. lava.proc.lif.models, precision of du and dv.
DECAY_BITS = 12
#: Messages of one layer in one step with which a user's Loihi 2 still ran, and did not end (58 x 58 x 2 neurons that
#: all fire together into a convolution of stride 2). At another time 19,208 ran. lava issue 826.
FLOOD_RAN, FLOOD_HUNG = 57 * 57 * 2, 58 * 58 * 2

Certainty = Literal["documented", "inferred", "reported", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing a chip would not take, or of which nobody has shown that it does.

    Attributes:
        layer: as in errors: ``layer 1 (conv)``.
        allowed: the limit; None where there is no number.
        text: value, limit and remedy in words.
    """

    layer: str
    limit: str
    value: int | None
    allowed: int | None
    text: str
    source: str
    certainty: Certainty

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def preflight(file: NetworkFile, layers: tuple[StockLayer, ...], board: Board) -> list[Finding]:
    """Of the layers of a file."""
    groups = file.groups
    return [finding for layer in layers for finding in _of_layer(layer, groups[layer.number], board)]


def preflight_input(given: FileInput) -> list[Finding]:
    """Of what an input does to the chip."""
    first, messages = given.network.layers[0], given.messages
    found: list[Finding] = []
    if not messages.size:
        return found
    if first.synapse is None and isinstance(first.neuron, HardResetLif):
        low, high = int(messages.min()), int(messages.max())
        found += _bias(first.label, low, high, "the input holds", "scale the input")
    sent = messages
    if first.synapse is None:
        from spk2loihi.netx import StockNetwork

        alone = StockNetwork((first,), given.network.input_message_bits, given.network.reset_interval)
        sent = alone.run(messages).output
    steps = np.count_nonzero(sent.reshape(len(sent), -1, sent.shape[-1]), axis=1)  # (samples, steps)
    most = int(steps.max())
    if most > FLOOD_RAN:
        found.append(
            Finding(
                first.label if first.synapse is None else "input",
                "messages_a_step",
                most,
                FLOOD_RAN,
                f"{most:,} messages in step {int(steps.max(0).argmax())}: a user's Loihi 2 ran with {FLOOD_RAN:,} in "
                f"one step and never ended with {FLOOD_HUNG:,}, at another time it ran with 19,208: spread the input "
                "over steps, or make it smaller, if a board does not answer",
                _FLOOD,
                "reported",
            )
        )
    return found


def _of_layer(layer: StockLayer, group: Group, board: Board) -> Iterator[Finding]:
    label = layer.label
    yield from _weights(layer, group)
    if (fan_in := sum(synapse.fan_in for synapse in layer.synapses)) > (limit := board.limits["fan_in"]).value:
        text = f"{fan_in:,} synapses onto a neuron, and a core holds {limit.value:,}: split the layer or prune inputs"
        yield Finding(label, "fan_in", fan_in, limit.value, text, limit.source, "inferred")
    neuron = layer.neuron
    if isinstance(neuron, HardResetLif):
        if layer.synapse is not None and (bias := _values(group.get("bias"))) is not None:
            yield from _bias(label, int(bias.min()), int(bias.max()), "biases from", "scale weights and threshold")
        yield from _threshold(label, neuron)
        yield from _one_number(label, group)
        for name, decay in (("iDecay", neuron.current_decay), ("vDecay", neuron.voltage_decay)):
            low, high = int(decay.min()), int(decay.max())
            if low < 0 or high > 1 << DECAY_BITS:
                text = f"{name} from {low:,} to {high:,}, beyond {DECAY_BITS} bits: stay within 0 to {1 << DECAY_BITS}"
                yield Finding(
                    label, "decay", high if high > 0 else low, 1 << DECAY_BITS, text, _LIF_MODEL, "documented"
                )
        if (refractory := _values(group.get("neuron/refDelay"))) is not None and int(refractory.max()) > 1:
            text = (
                f"refDelay {int(refractory.max())}, which Lava's model of the neuron ignores and a chip need not: "
                "train with 1"
            )
            yield Finding(
                label, "refractory_delay", int(refractory.max()), 1, text, "lava.proc.lif.models has none", "unknown"
            )
    if isinstance(neuron, Resonator):
        text = "no run of resonate-and-fire neurons on a Loihi 2 is public: try the layer alone first, or use CUBA"
        yield Finding(label, "neuron_type", None, None, text, "lava.proc.rf: models for the CPU", "unknown")
    if (delays := _values(group.get("delay"))) is not None and int(delays.max()) > DELAY_MAX:
        text = f"delays of up to {int(delays.max())} steps, which Lava cuts to {DELAY_MAX}: stay within {DELAY_MAX}"
        yield Finding(label, "delay", int(delays.max()), DELAY_MAX, text, _DELAYS, "documented")


def _one_number(label: str, group: Group) -> Iterator[Finding]:
    """Lava's model takes arrays, and its documentation says otherwise."""
    for name in ("vThMant", "iDecay", "vDecay"):
        values = _values(group.get(f"neuron/{name}"))
        if values is not None and (several := len(np.unique(values))) > 1:
            text = (
                f"{name} has {several:,} values from {int(values.min()):,} to {int(values.max()):,}, and the "
                "documentation of Lava's LIF allows one to a population: give the layer one (of a NIR file: scales of "
                "a layer), or split it"
            )
            yield Finding(label, "population_constants", several, 1, text, _LIF_DOCUMENTATION, "documented")


def _weights(layer: StockLayer, group: Group) -> Iterator[Finding]:
    """Weights as the file has them, which Lava's Conv takes as they are and its Dense cuts."""
    given = weights_in(group, layer.number) if layer.synapses else []
    if not given:
        return
    bits = max(stored_bits(weight) for weight in given)
    if bits > WEIGHT_WIDTH.value:
        low, high = min(int(w.min()) for w in given), max(int(w.max()) for w in given)
        text = (
            f"weights from {low:,} to {high:,} take {bits} bits, and a synapse has {WEIGHT_WIDTH.value}: keep mixed "
            "signs within -256 to 254 in steps of 2, or -128 to 127, and one sign within 255"
        )
        yield Finding(layer.label, WEIGHT_WIDTH.name, bits, WEIGHT_WIDTH.value, text, WEIGHT_WIDTH.source, "documented")


def _bias(label: str, low: int, high: int, what: str, remedy: str) -> Iterator[Finding]:
    if low < -BIAS_MAX - 1 or high > BIAS_MAX:
        text = (
            f"{what} {low:,} to {high:,}, and a bias has {BIAS_BITS} bits, {-BIAS_MAX - 1:,} to {BIAS_MAX:,}: {remedy}"
        )
        worst = high if high > BIAS_MAX else low
        yield Finding(label, "bias_width", worst, BIAS_MAX, text, _LIF_MODEL, "documented")


def _threshold(label: str, neuron: HardResetLif) -> Iterator[Finding]:
    low, high = int(neuron.threshold.min()), int(neuron.threshold.max())
    if low < 0 or high > THRESHOLD_MAX:
        text = (
            f"thresholds from {low:,} to {high:,}, and a threshold has {THRESHOLD_BITS} bits: stay within 0 to "
            f"{THRESHOLD_MAX:,}, and scale weights with it"
        )
        worst = high if high > THRESHOLD_MAX else low
        yield Finding(label, "threshold_width", worst, THRESHOLD_MAX, text, _LIF_MODEL, "documented")


def _values(item: Dataset | Group | None) -> Any:
    """Integers of a dataset; None where there is none. The file was read, so they are whole."""
    if not isinstance(item, Dataset) or item.kind not in "iufb" or not item.value.size:
        return None
    return item.value.astype(np.int64)
