"""Which teacher layer each student layer stands for: where its weights start and what its hidden states learn."""

from __future__ import annotations

from spk2loihi.errors import UserError
from spk2loihi.ranges import RANGES, check_number, shown


def layer_map(chosen: str | list[int] | None, teacher_layers: int, student_layers: int | None = None) -> list[int]:
    """Teacher layers in student order, counted from 0.

    Args:
        chosen: a list; or ``uniform:M`` (the map of SpikingBERT and TinyBERT: student layer m of M, from 1, stands for
            teacher layer m N / M of N, from 1, rounded), ``last:M``, ``first:M``; ``:M`` may be left out where the
            student's depth is known or meant to be the teacher's. None: uniform.
        student_layers: depth of a student that exists already.

    Raises:
        UserError: a layer the teacher has not, no layers, or not one for each of the student's.
    """
    if chosen is not None and not isinstance(chosen, (str, list)):
        raise UserError(
            f"`layers` is {shown(chosen)}, but it is a list of numbers, or words such as uniform:3: change it"
        )
    if isinstance(chosen, list) and len(chosen) not in RANGES["layers"]:
        raise UserError(f"`layers` names {len(chosen)} teacher layers, but a student has {RANGES['layers']}: change it")
    layers = chosen if isinstance(chosen, list) else _named(chosen or "uniform", teacher_layers, student_layers)
    for layer in layers:
        if isinstance(layer, bool) or not isinstance(layer, int):
            raise UserError(f"layer {shown(layer)} is not a whole number: change `layers`")
        if not 0 <= layer < teacher_layers:
            raise UserError(
                f"layer {shown(layer)} is not one of the teacher's layers 0 to {teacher_layers - 1}: change `layers`"
            )
    if not layers:
        raise UserError("a student needs at least 1 layer: change `layers`")
    if student_layers is not None and len(layers) != student_layers:
        raise UserError(
            f"`layers` names {len(layers)} teacher layers, but the student has {student_layers}: name one for each, or "
            "leave `layers` out"
        )
    return layers


def parse_layers(text: str | None) -> str | list[int] | None:
    """ "3" means the first three layers, "0,2,5" those three; words are left to `layer_map`."""
    if text is None or text[:1].isalpha():
        return text
    try:
        numbers = [int(part) for part in text.split(",", int(RANGES["layers"].most) + 1)]
    except ValueError:
        raise UserError(
            f"`layers` {shown(text)} is neither a number, nor teacher layers separated by commas, nor uniform:M, "
            "last:M or first:M: e.g. 0,2,5 or uniform:3"
        ) from None
    if len(numbers) > 1:
        return numbers
    return list(range(check_number("layers", numbers[0])))


def count_layers(text: str) -> int:
    """How many layers a student has by such a text, whatever its teacher.

    Raises:
        UserError: it names none, or leaves their number to the teacher.
    """
    chosen = parse_layers(text)
    if isinstance(chosen, list):
        return len(chosen)
    if chosen is None or ":" not in chosen:
        raise UserError(f"`layers` {shown(chosen)} leaves their number to a teacher: say how many, e.g. uniform:3")
    return len(_named(chosen, int(RANGES["layers"].most), None))


def _named(chosen: str, teacher_layers: int, student_layers: int | None) -> list[int]:
    name, _, number = chosen.partition(":")
    try:
        count = int(number) if number else student_layers or teacher_layers
    except ValueError:
        count = 0
    if name not in ("uniform", "last", "first") or count not in RANGES["layers"]:
        raise UserError(
            f"`layers` {shown(chosen)} is not a list of teacher layers or uniform:M, last:M or first:M with a number "
            "of layers M: e.g. 0,2,5 or uniform:3"
        )
    if name == "uniform":
        if count > teacher_layers:
            raise UserError(f"`layers` {chosen!r} asks for more layers than the teacher's {teacher_layers}: change it")
        return [round((m + 1) * teacher_layers / count) - 1 for m in range(count)]
    first = teacher_layers - count if name == "last" else 0
    return list(range(first, first + count))
