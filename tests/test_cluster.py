"""Work on a Dask cluster: results in any order, one sentence for what goes wrong, no door open to others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spk2loihi import cluster
from spk2loihi.cluster import Cluster, cluster_of, on_cluster
from spk2loihi.errors import UserError
from support.in_process_cluster import in_process_cluster


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with in_process_cluster() as address:
        yield address


def multiplied(part: int, shared: int) -> tuple[int, str]:
    if part == 13:
        raise UserError("`samples` is 13")
    if part == 14:
        raise ModuleNotFoundError("No module named 'spk2loihi'")
    return part * shared, os.getcwd()


def test_every_part_is_done_in_the_folder_of_the_caller(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = dict(on_cluster(Cluster(scheduler=scheduler), multiplied, range(5), 3))
    assert done == {i: (3 * i, str(tmp_path)) for i in range(5)}
    assert dict(on_cluster(Cluster(scheduler="tcp://localhost:1"), multiplied, [], 3)) == {}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (13, "^`samples` is 13$"),
        (14, r"a worker of inproc://\S+ lacks what this process has \(No module named 'spk2loihi'\): install"),
    ],
)
def test_an_error_of_a_worker_is_that_of_the_caller(part: int, words: str, scheduler: str) -> None:
    with pytest.raises(UserError, match=words):
        list(on_cluster(Cluster(scheduler=scheduler), multiplied, [part], 3))


def test_a_worker_of_another_version_or_without_the_folder_is_refused(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, versions, absent = cluster._Task, cluster._versions(), tmp_path / "absent"
    for folder, there, words in (
        (absent, versions, r"cannot work in \S+absent \(No such file or directory\): run the command in a folder"),
        (tmp_path, {**versions, "torch": "1.0"}, r"has torch \S+, but this process has 1\.0, so results could differ"),
    ):
        task = real(multiplied, str(folder), there, None)
        monkeypatch.setattr(cluster, "_Task", lambda *_, task=task: task)
        with pytest.raises(UserError, match=words):
            list(on_cluster(Cluster(scheduler=scheduler), multiplied, [1], 3))


def test_a_worker_with_two_threads_is_refused() -> None:
    with in_process_cluster(threads=2) as address, pytest.raises(UserError, match="does 2 tasks at a time"):
        list(on_cluster(Cluster(scheduler=address), multiplied, [1], 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"workers": 2, "scheduler": "tcp://a:1"},
            "`workers` is 2 and `scheduler` is 'tcp://a:1'.*give one of them",
        ),
        ({"workers": 0, "scheduler": None}, "`workers` is 0, but it is a whole number from 1 to 256"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        cluster_of(**options)


def test_neither_option_is_no_cluster() -> None:
    assert cluster_of(None, None) is None


def test_launched_processes_do_not_each_start_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="2 processes were launched, and each would use a cluster"):
        cluster_of(2, None)


@pytest.mark.parametrize("package", ["distributed", "cryptography"])
def test_without_the_extra_one_sentence_says_how_to_get_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"^`workers` needs {package}, .*: pip install \"spk2loihi\[cluster\]\"$"):
        cluster_of(2, None)


def test_where_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.2)
    for address in ("tcp://127.0.0.1:1", "nonsense"):
        with pytest.raises(UserError, match=f"`scheduler` is '{address}', but no Dask scheduler answers there"):
            list(on_cluster(Cluster(scheduler=address), multiplied, [1], 3))


LISTENING = """
import os
from pathlib import Path
from spk2loihi.cluster import _local

with _local(0) as made:
    held = {os.readlink(f) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in held:
                print("listens", local)
    print("address", made.scheduler_address)
"""


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="finds sockets in /proc")
def test_a_cluster_of_our_own_listens_on_the_loopback_device_alone_and_in_tls() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, check=True)
    listening = re.findall(r"^listens (\S+):", done.stdout, re.MULTILINE)
    assert listening and set(listening) == {"0100007F"}  # 127.0.0.1 in little endian
    assert "address tls://127.0.0.1:" in done.stdout
