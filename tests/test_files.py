"""Files are whole or absent, whatever happens to the disk or the process."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.files import fill_folder, text_writer, write_atomically, write_folder, write_json, write_together
from spk2loihi.hdf5 import hdf5_writer
from spk2loihi.outputs import claim
from spk2loihi.simulators.run_file import FileRun
from spk2loihi.temporary_files import remove_dead_leftovers, temporary_folder
from support.full_disk import small_disk, small_files

LARGE = np.arange(100_000)  # 800 kB, hardly compressible as they are
DEAD = 2**22 + 1  # more than Linux numbers processes


def run_of(array: np.ndarray) -> FileRun:
    return FileRun("n.net", "emulator", {"out": array, "0/s": array}, False, 1, 1, None, 0.0)


WRITERS = {
    "text": lambda path: write_atomically(path, text_writer("x" * 800_000)),
    "json": lambda path: write_json(path, {"a": list(range(100_000))}),
    "torch": lambda path: write_atomically(path, lambda sink: torch.save({"a": torch.arange(100_000)}, sink)),
    "hdf5": lambda path: write_atomically(path, hdf5_writer(lambda file: file.create_dataset("a", data=LARGE))),
    "run.npz": lambda path: run_of(LARGE).save(path.with_suffix(".npz")),
    "run.h5": lambda path: run_of(LARGE).save(path.with_suffix(".h5")),
}


@pytest.mark.parametrize("limit", [0, 100, 30_000, 500_000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_too_long_is_one_sentence(name: str, limit: int, tmp_path: Path) -> None:
    """Not libhdf5's segmentation fault, torch's RuntimeError or zipfile's ValueError."""
    with small_files(limit), pytest.raises(UserError, match=r"cannot be written .File too large.: make room there, or"):
        WRITERS[name](tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence(name: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "400k") as mounted:
        if not mounted:
            pytest.skip("cannot mount a tmpfs")
        with pytest.raises(UserError, match=r"cannot be written .No space left on device.: make room there, or"):
            WRITERS[name](tmp_path / "disk" / "out")
        assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("write", [write_folder, fill_folder])
def test_a_folder_without_room_stays_as_it_was(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")

    def fill(folder: Path) -> None:
        (folder / "a").write_text("new")
        save_file({"w": torch.zeros(100_000)}, folder / "model.safetensors")

    with small_files(30_000), pytest.raises(UserError, match=r"cannot be written .*File too large.*make room"):
        write(tmp_path / "folder", fill, (SafetensorError,))
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["folder", "folder/a"]
    assert (tmp_path / "folder" / "a").read_text() == "old"
    write(tmp_path / "folder", fill)
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["a", "model.safetensors"]
    assert (tmp_path / "folder" / "a").read_text() == "new"


def test_what_a_run_saves_is_what_numpy_and_h5py_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for name in ("a.npz", "a.h5"):
        run_of(array).save(tmp_path / name)
    with np.load(tmp_path / "a.npz") as npz, h5py.File(tmp_path / "a.h5") as hdf5:
        assert set(npz.files) == {"out", "0/s"}
        for name in npz.files:
            assert np.array_equal(npz[name], array) and npz[name].dtype == array.dtype
            assert np.array_equal(hdf5[name][()], array)
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


def test_files_that_belong_together_are_renamed_together(tmp_path: Path) -> None:
    """A new page never stands beside old numbers."""
    page, numbers = tmp_path / "a.html", tmp_path / "a.json"
    for path in (page, numbers):
        path.write_text("old")
    with small_files(1000), pytest.raises(UserError, match=r"a\.html cannot be written"):
        write_together({numbers: text_writer("new"), page: text_writer("x" * 2000)})
    assert (page.read_text(), numbers.read_text()) == ("old", "old")
    write_together({numbers: text_writer("new"), page: text_writer("new")})
    assert (page.read_text(), numbers.read_text()) == ("new", "new")
    assert {p.name for p in tmp_path.iterdir()} == {"a.html", "a.json"}


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    write_atomically(tmp_path / "link", text_writer("text"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "text"


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120 + ".json")
    write_json(path, {})
    assert path.read_text() == "{}\n"


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        kept = {f".a.net.{child.pid}.tmp", f".b.net.{DEAD}.tmp", ".a.net.x.tmp", f".a.net.{DEAD}.tmp2"}
        for name in (*kept, f".a.net.{DEAD}.tmp", f".a.net.{os.getppid()}.tmp"):
            (tmp_path / name).write_text("")
        os.utime(tmp_path / f".a.net.{os.getppid()}.tmp", (1, 1))  # written long before that process began
        (tmp_path / f".a.net.{DEAD}.new.tmp").mkdir()
        write_atomically(tmp_path / "a.net", text_writer(""))
        assert {p.name for p in tmp_path.iterdir()} == {*kept, "a.net"}
        child.communicate(b"\n")
        remove_dead_leftovers(tmp_path / "a.net")
        assert f".a.net.{child.pid}.tmp" not in os.listdir(tmp_path)
    finally:
        child.kill()
        child.wait()


def test_files_have_the_modes_of_others(tmp_path: Path) -> None:
    """Not the 0600 of a temporary file."""
    (tmp_path / "other").write_text("")
    write_json(tmp_path / "mine", {})
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_temporary_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next run, and not those of a process that lives, or that holds the lock in another container."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    hold = (
        "from spk2loihi.temporary_files import temporary_folder\n"
        "with temporary_folder() as folder: (folder / 'network.net').touch(); print(folder, flush=True); input()"
    )
    living, killed = (
        subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        mine, theirs = (Path(each.stdout.readline().strip()) for each in (living, killed))  # type: ignore[union-attr]
        killed.kill()
        killed.wait()
        elsewhere = tmp_path / f"spk2loihi-{DEAD}-abc"  # no process of this number here, but the lock is held
        users = [tmp_path / "spk2loihi-notes", tmp_path / f"spk2loihi-{DEAD}-abc.txt", tmp_path / "other"]
        for folder in (elsewhere, *users):
            folder.mkdir()
        (tmp_path / f"spk2loihi-{DEAD}-link").symlink_to("other")
        descriptor = os.open(elsewhere, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with temporary_folder() as folder:
            assert not theirs.exists()
            assert (mine / "network.net").exists() and elsewhere.exists() and all(each.exists() for each in users)
        os.close(descriptor)
        living.communicate("\n")
        assert not mine.exists() and not folder.exists()
        with claim([]):
            assert not elsewhere.exists()
        assert all(each.exists() for each in users)
    finally:
        living.kill()
        living.wait()


def test_no_place_for_a_temporary_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"no temporary folder can be made .*set TMPDIR"), temporary_folder():
        pass
