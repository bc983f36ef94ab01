"""What a teacher's `config.json` may ask for: every field, and whether a student has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spk2loihi.errors import UserError
from spk2loihi.training.families import FAMILIES, Family, TeacherSizes, family_names
from spk2loihi.training.families.fields import COMMON, OVERRULED, WITHOUT_EFFECT, is_whole

_MAX_PARAMETERS = 4_000_000_000  # a dozen times BERT-large: more is a slip of the pen, and fills the memory


def family_of(config: Mapping[str, Any], teacher: str) -> Family:
    """
    Args:
        config: contents of `config.json`; one without a model type is taken for a BERT's.
        teacher: its name in messages.

    Raises:
        UserError: no family that can be distilled.
    """
    kind = config.get("model_type", "bert")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise UserError(
            f"teacher {teacher} is a {_shown(kind) if not isinstance(kind, str) else kind} model, but only encoders of "
            f"the families {family_names()} can be distilled: choose one of them"
        )
    return family


def check_config(config: Mapping[str, Any], teacher: str, family: Family) -> list[str]:
    """What to say about a configuration, as lines; nothing, for most.

    Args:
        config: contents of `config.json`.
        teacher: its name in messages.

    Raises:
        UserError: it asks for something that a student does not have, or that makes no sense.
    """
    for name, check in {**COMMON, **family.fields}.items():
        wrong = check(config[name]) if name in config else None
        if wrong is not None:
            raise UserError(
                f"teacher {teacher} has {name} {_shown(config[name])} in its configuration, but {wrong}: choose a "
                "teacher without it"
            )
    whole = {**defaults(family), **config}
    _check_sizes(whole, teacher, family)
    if wrong := family.wrong(whole):
        raise UserError(
            f"teacher {teacher} is a {family.name}, but {wrong}: give the configuration it was trained with"
        )
    known = family.fields.keys() | OVERRULED.keys() | WITHOUT_EFFECT | family.unused
    unknown = [name for name in config if name not in known]
    if unknown:
        return [
            f"teacher {teacher}: {family.name} knows nothing of {some(unknown)} in its configuration, and ignores it"
        ]
    return []


def defaults(family: Family) -> dict[str, Any]:
    """The configuration of a family where a file says nothing."""
    from transformers import AutoConfig

    record: dict[str, Any] = AutoConfig.for_model(family.model_type).to_dict()
    return record


def sizes_of(config: Any, family: Family) -> TeacherSizes:
    """
    Args:
        config: of transformers, checked.
    """
    return family.sizes(config.to_dict())


def plain_config(config: Any) -> Any:
    """``config`` of transformers, with the fields that say how results are handed out set to what training needs."""
    for name, value in OVERRULED.items():
        setattr(config, name, value)
    return config


def some(names: list[str], most: int = 3) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_sizes(config: Mapping[str, Any], teacher: str, family: Family) -> None:
    vocabulary, pad = config["vocab_size"], config.get("pad_token_id")
    if pad is not None and not (is_whole(pad) and 0 <= pad < vocabulary):
        raise UserError(
            f"teacher {teacher} has pad_token_id {_shown(pad)} in its configuration, but tokens are numbered from 0 to "
            f"{vocabulary - 1}: give the configuration the model was trained with"
        )
    if family.wrong(config) is not None:
        return
    sizes = family.sizes(config)
    if sizes.hidden % sizes.heads:
        name = next(name for name in ("hidden_size", "dim") if name in family.fields)
        raise UserError(
            f"teacher {teacher} has {name} {sizes.hidden} in its configuration, which its {sizes.heads} attention "
            "heads do not divide: give the configuration the model was trained with"
        )
    if "embedding_size" not in family.fields and config.get("embedding_size", sizes.hidden) != sizes.hidden:
        raise UserError(
            f"teacher {teacher} has embeddings of width {_shown(config['embedding_size'])} and layers of width "
            f"{sizes.hidden}, but those of a {family.name} are of one width: give the configuration the model was "
            "trained with"
        )
    if sizes.parameters > _MAX_PARAMETERS:
        raise UserError(
            f"teacher {teacher} would have {sizes.parameters:.2g} parameters by its configuration, but at most "
            f"{_MAX_PARAMETERS:.0g} are read: give the configuration the model was trained with"
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
