"""Instructions of the processor that decide which of two equal ways is the faster one."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1)
def _features() -> dict[str, bool]:
    from llvmlite.binding import get_host_cpu_features

    try:
        return dict(get_host_cpu_features())
    except RuntimeError:  # a processor that LLVM does not know
        return {}


def has_byte_products() -> bool:
    """Whether four products of bytes are added in one instruction, without saturation (AVX-512 VNNI)."""
    return _features().get("avx512vnni", False)


def has_bfloat16_products() -> bool:
    """Whether there are instructions for products of bfloat16 (AVX-512 BF16, AMX)."""
    return any(_features().get(name, False) for name in ("avx512bf16", "amx-bf16"))
