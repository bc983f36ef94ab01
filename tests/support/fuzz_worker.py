"""A process that runs commands one after another and says how each ended. Started by `support.fuzzing`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import traceback


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints to standard output does not meet the answers
    import torch

    torch.set_num_threads(1)
    from spk2loihi.cli.main import main as command

    for line in sys.stdin:
        caught, code, error = "", 0, io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
            try:
                command(json.loads(line))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                caught = traceback.format_exc()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        answer = {"code": code, "error": error.getvalue(), "traceback": caught, "mib": max(peak, child)}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
