"""A vocabulary whose words are single letters."""

from __future__ import annotations

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CLS, SEP, A = 2, 3, 4
