"""Parts of a batch, as many at once as torch has threads, each on one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

P = TypeVar("P")
R = TypeVar("R")


def in_turns(work: Callable[[P], R], parts: Sequence[P]) -> list[R]:
    """``work`` of every part, in their order."""
    threads = torch.get_num_threads()
    if len(parts) == 1 or threads == 1:
        return [work(part) for part in parts]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, parts))
    finally:
        torch.set_num_threads(threads)  # what the pool's threads set holds for those of later pools too
