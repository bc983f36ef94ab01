"""Configuration of a spiking BERT student."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from spk2loihi.choices import GRADIENTS
from spk2loihi.errors import UserError
from spk2loihi.limits import MEMBRANE_BITS
from spk2loihi.models.implicit import Solving
from spk2loihi.models.solvers import check_solver
from spk2loihi.models.topology import Sizes, StageSpec, check_sizes, topology
from spk2loihi.network.leak import check_leak_and_feedback
from spk2loihi.ranges import check_number, shown

_CONTEXT_EXPONENT = 6
_MAX_SCORE_WEIGHT = 127  # 8 signed bits

#: How a student of BERT is made and trained by default; what differs is part of the records of the others alone.
_USUAL: dict[str, Any] = {
    "gradient": Solving.gradient,
    "gradient_steps": Solving.gradient_steps,
    "hidden_act": "gelu",
    "head": "tanh",
    "embedding_size": None,
    "relative_positions": False,
    "layer_norm_eps": 1e-12,
}
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
HEADS = ("tanh", "gelu", "relu", "tokens")


class SpikingBertConfig(PretrainedConfig):
    """A BERT configuration plus what makes it spike.

    Args:
        preset: ``spikingbert``: LayerNorm, softmax and GELU once per window, on counts. ``neurocore``: none of them; an
            affine folded into the synapses, score neurons ``clip(alpha_h s + beta_h, 0, theta)``, and the neuron's own
            clip, so that nothing but the embedding and the head is left to the host. ``stock``: the same without clips,
            made of nothing but processes that Intel ships (`spk2loihi.models.payload`).
        timesteps: T, steps of a window; a rate is n/T with n an integer in [-T, T]. ``stock`` has no windows: T is the
            largest payload.
        weight_bits: bits of a signed synaptic weight.
        signed: neurons emit spikes of -1 as well as +1.
        max_tokens: longest sentence the deployed network takes, [CLS] and [SEP] included.
        quantised: rates are rounded to n/T and weights to their bits (straight-through gradients). False gives the
            continuous equilibrium, of which the gradients are exact.
        leak: share of its membrane a stepped neuron loses each step, in [0, 1) and a decay of 12 bits; average rates
            then weigh recent steps more. The equilibrium is the same.
        feedback: bound on the spectral norm of the feedback weights of each layer's value neurons, in [0, 1); 0 for
            none. Their equilibrium is a fixed point, and their rates are not rounded.
        solver: what finds that fixed point, one of `spk2loihi.models.solvers.SOLVERS`.
        gradient: what finds its gradient: ``solver``, the same, or ``spide``, spikes (`spk2loihi.models.spide`).
        gradient_steps: time steps of ``spide``.
        hidden_act: activation of the teacher's feed-forward parts, one of `ACTIVATIONS`; one integer GELU
            stands for all that are not ``relu``.
        head: what leads to the readout, one of `HEADS` (`spk2loihi.models.topology.topology`).
        embedding_size: width of the embedding, where a projection leads from it to the layers.
        relative_positions: scores have a constant drive, by head and distance between query and key.
        layer_norm_eps: of the teacher; the spiking student has none, its float network
            (`spk2loihi.models.float_network`) does.
    """

    model_type = "spiking-bert"

    def __init__(
        self,
        vocab_size: int = 30522,
        hidden_size: int = 384,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 12,
        intermediate_size: int = 1536,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        preset: str = "spikingbert",
        timesteps: int = 16,
        weight_bits: float = 8,
        signed: bool = True,
        max_tokens: int = 64,
        quantised: bool = True,
        leak: float = 0.0,
        feedback: float = 0.0,
        solver: str = Solving.solver,
        gradient: str = Solving.gradient,
        gradient_steps: int = Solving.gradient_steps,
        pad_token_id: int = 0,
        hidden_act: str = "gelu",
        head: str = "tanh",
        embedding_size: int | None = None,
        relative_positions: bool = False,
        layer_norm_eps: float = 1e-12,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_token_id=pad_token_id, **kwargs)
        self.pad_token_id = pad_token_id
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.preset = preset
        self.timesteps = timesteps
        self.weight_bits = int(weight_bits) if weight_bits == int(weight_bits) else weight_bits
        self.signed = signed
        self.max_tokens = max_tokens
        self.quantised = quantised
        self.leak = leak
        self.feedback = feedback
        self.solver = solver
        self.gradient = gradient
        self.gradient_steps = gradient_steps
        self.hidden_act = hidden_act
        self.head = head
        self.embedding_size = embedding_size
        self.relative_positions = relative_positions
        self.layer_norm_eps = layer_norm_eps
        self._check()

    def _check(self) -> None:
        check_sizes(
            self.hidden_size, self.num_attention_heads, self.timesteps, self.weight_bits, self.max_tokens,
            self.max_position_embeddings, self.preset,
        )  # fmt: skip
        if not 0 <= self.leak < 1:
            raise UserError(
                f"`leak` is {self.leak}, but a neuron loses a share from 0 up to 1 a step: choose one below 1"
            )
        if not 0 <= self.feedback < 1:
            raise UserError(
                f"`feedback` is {self.feedback}, but an equilibrium is sure to exist only for a norm of the feedback "
                "weights below 1: choose a bound from 0 up to 1"
            )
        check_leak_and_feedback(self.preset, self.leak, self.feedback)
        check_solver(self.solver)
        self._check_gradient()
        for name, value, known in (("hidden_act", self.hidden_act, ACTIVATIONS), ("head", self.head, HEADS)):
            if value not in known:
                raise UserError(f"`{name}` is {shown(value)}, but a student has one of {', '.join(known)}: choose one")
        if self.head == "tokens" and self.preset == "stock":
            raise UserError(
                "`preset` is stock, whose networks answer once a sentence, but tags are asked for, one a word: choose "
                "the `preset` spikingbert or neurocore"
            )
        if self.relative_positions and self.preset == "stock":
            raise UserError(
                "the teacher's scores depend on the distance of two tokens, for which `preset` stock has no synapses: "
                "choose the `preset` spikingbert or neurocore, or a teacher other than MPNet"
            )

    def _check_gradient(self) -> None:
        check_number("gradient_steps", self.gradient_steps)
        if self.gradient not in GRADIENTS:
            raise UserError(f"`gradient` is {shown(self.gradient)}: choose one of {', '.join(GRADIENTS)}")
        if self.gradient == "spide" and not self.feedback:
            raise UserError(
                "`gradient` is spide, which finds the gradient of a fixed point, but without `feedback` a network has "
                "none: give a `feedback` above 0, or leave `gradient` out"
            )
        if self.gradient != "spide" and self.gradient_steps != Solving.gradient_steps:
            raise UserError(
                f"`gradient_steps` is {self.gradient_steps}, but `gradient` {self.gradient} takes no steps: choose the "
                "`gradient` spide, or leave `gradient_steps` out"
            )

    def to_dict(self) -> dict[str, Any]:
        """As of Hugging Face, without what is as usual."""
        record: dict[str, Any] = super().to_dict()
        return {name: x for name, x in record.items() if name not in _USUAL or x != _USUAL[name]}

    @property
    def sizes(self) -> Sizes:
        return Sizes(
            self.hidden_size, self.intermediate_size, self.num_attention_heads, self.num_labels, self.embedding_size
        )

    @property
    def solving(self) -> Solving:
        """How fixed points of feedback and their gradients are found."""
        return Solving(self.solver, self.gradient, self.gradient_steps)

    @property
    def topology(self) -> tuple[StageSpec, ...]:
        """The stages of the network, in topological order."""
        return topology(
            self.num_hidden_layers,
            activation="relu" if self.hidden_act == "relu" else "gelu",
            head=self.head,
            projected=self.embedding_size is not None,
        )

    @property
    def context_exponent(self) -> int:
        """Power of two that refines the attention context's drive: at most 2**6, less where T*T*L would overflow.

        ``stock`` needs none.
        """
        if self.preset == "stock":
            return 0
        room = 2 ** (MEMBRANE_BITS - 1) // (self.timesteps**2 * self.max_tokens)
        return max(0, min(_CONTEXT_EXPONENT, room.bit_length() - 1))

    @property
    def largest_score_weight(self) -> int:
        """Largest multiplier of a score neuron's fast weights: 8 bits, less where T*T*d_h of them would overflow."""
        head = self.hidden_size // self.num_attention_heads
        room = 2 ** (MEMBRANE_BITS - 2) // (self.timesteps**2 * head)  # half of the membrane: the rest is for the bias
        return max(1, min(_MAX_SCORE_WEIGHT, room))
