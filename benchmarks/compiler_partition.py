"""Cores of a layer: Intel's compiler, as lava-dl's tutorials published it, and `spk2loihi fit`.

uv run python benchmarks/compiler_partition.py
"""

from __future__ import annotations

import argparse
from itertools import groupby

from spk2loihi.fit.published import compared


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print("| network | layer | shape | compiler | fit | limit that binds |\n|---|---|---|---|---|---|")
    for network, rows in groupby(compared(), key=lambda row: row["network"]):
        layers = list(rows)
        for row in layers:
            shape, binding = " x ".join(str(n) for n in row["shape"]), row["binding_limit"] or ""
            print(f"| {network} | {row['layer']} | {shape} | {row['cores']} | {row['ours']} | {binding} |")
        print(
            f"| {network} | **all** | | **{sum(row['cores'] for row in layers)}** "
            f"| **{sum(row['ours'] for row in layers)}** | |"
        )


if __name__ == "__main__":
    main()
