"""HDF5 files read by forks of one process that has h5py loaded already; what they do is `spk2loihi.hdf5_child`'s own.

A reader of its own for each of thousands of files is what a fuzz test spends most of its time on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn


class Reader:
    """Stands for `spk2loihi.hdf5._ask_child`.

    Attributes:
        mib: the most memory that a fork has taken.
        seconds: processor time of all forks.
    """

    def __init__(self, folder: Path) -> None:
        self.mib, self.seconds = 0, 0.0
        self._answer = folder / "hdf5-answer"
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._answer)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PATH": os.devnull},
        )  # fmt: skip

    def __call__(self, path: Path) -> tuple[int | None, bytes]:
        from spk2loihi import hdf5

        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(path.absolute()), hdf5._MOST]) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        self.mib, self.seconds = max(self.mib, ended["mib"]), self.seconds + ended["seconds"]
        return ended["code"], self._answer.read_bytes()


def main(answer: str) -> None:
    from spk2loihi import hdf5_child

    for line in sys.stdin:
        path, most = json.loads(line)
        child = os.fork()
        if child == 0:
            _read(hdf5_child, path, most, answer)
        _, status, used = os.wait4(child, 0)
        ended: dict[str, Any] = {
            "code": os.waitstatus_to_exitcode(status), "mib": used.ru_maxrss >> 10,
            "seconds": used.ru_utime + used.ru_stime,
        }  # fmt: skip
        print(json.dumps(ended), flush=True)


def _read(hdf5_child: Any, path: str, most: int, answer: str) -> NoReturn:
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, file in (
            (0, nothing),
            (1, os.open(answer, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)),
            (2, nothing),
        ):
            os.dup2(file, number)
        hdf5_child.end_with_parent(os.getppid())
        hdf5_child.main(path, most)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
