"""Families of teachers: one file each maps a kind of encoder onto the student's parts, and registers itself."""

from spk2loihi.training.families import albert, bert, distilbert, electra, mpnet, roberta
from spk2loihi.training.families.family import FAMILIES, Family, TeacherSizes, family_names

__all__ = [
    "FAMILIES", "Family", "TeacherSizes", "albert", "bert", "distilbert", "electra", "family_names", "mpnet", "roberta",
]  # fmt: skip
