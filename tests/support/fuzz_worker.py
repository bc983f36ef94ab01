"""A process that runs commands one after another and says how each ended. Started by `support.fuzzing`."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import resource
import sys
import time
import traceback
from pathlib import Path

from support.hdf5_forks import Reader


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints to standard output does not meet the answers
    import torch

    torch.set_num_threads(1)
    import spk2loihi
    from spk2loihi import hdf5
    from spk2loihi.cli.main import main as command

    for module in pkgutil.walk_packages(spk2loihi.__path__, "spk2loihi."):  # imports are not what is measured
        if ".lava" not in module.name and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)

    hdf5._ask_child = reader = Reader(Path.cwd())
    for line in sys.stdin:
        caught, code, error = "", 0, io.StringIO()
        began = time.process_time() + reader.seconds
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
            try:
                command(json.loads(line))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                caught = traceback.format_exc()
        answer = {
            "code": code, "error": error.getvalue(), "traceback": caught,
            "mib": max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, reader.mib),
            "seconds": time.process_time() + reader.seconds - began,
        }  # fmt: skip
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
