"""Files are whole, sealed and locked; what is wrong with one is said with its name."""

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from invlib import files
from invlib.files import BLANK, atomic, check_seal, content, lock, seal


def sealed(path: Path, size: int = 100) -> Path:
    path.write_bytes(b"head " + BLANK.encode() + b" " + bytes(range(256)) * (size // 256 + 1))
    seal(path)
    return path


# --- digests --------------------------------------------------------------------------------------


def test_the_content_of_a_file_is_the_sha256_of_its_bytes(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    assert content(path) == f"file:{digest}" == content(shutil.copy(path, tmp_path / "copy"))
    path.write_bytes(b"abd")
    assert content(path) != f"file:{digest}"


def test_the_content_of_a_folder_follows_names_and_sizes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"1")
    before = content(tmp_path)
    (tmp_path / "a" / "one").rename(tmp_path / "a" / "two")
    renamed = content(tmp_path)
    (tmp_path / "a" / "two").write_bytes(b"12")
    assert before.startswith("folder:") and len({before, renamed, content(tmp_path)}) == 3


@pytest.mark.parametrize("size", [100, 3 * 2**20])
def test_any_flipped_bit_breaks_a_seal(tmp_path, size):
    path = sealed(tmp_path / "weights", size)
    assert check_seal(path)
    whole = path.read_bytes()
    for place in (0, 4, 5, 36, 68, 69, 4095, 4096, len(whole) - 1):
        blob = bytearray(whole)
        blob[min(place, len(whole) - 1)] ^= 1
        path.unlink()
        path.write_bytes(blob)
        with pytest.raises(ValueError, match="weights is damaged"):
            check_seal(path)


def test_a_file_without_a_seal_says_so(tmp_path):
    (tmp_path / "old").write_bytes(b"run 0123456789ab and no seal")
    assert not check_seal(tmp_path / "old")


def test_a_large_file_is_read_once_while_it_stays_the_same(tmp_path, monkeypatch):
    path = sealed(tmp_path / "weights", 2 * 2**20)
    assert check_seal(path) and content(path)
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", None)  # reading it would fail
        assert check_seal(path) and content(path)
    sealed(tmp_path / "other", 2 * 2**20)
    blob = bytearray((tmp_path / "other").read_bytes())
    blob[-1] ^= 1
    (tmp_path / "other").write_bytes(blob)
    os.replace(tmp_path / "other", path)
    with pytest.raises(ValueError, match="damaged"):
        check_seal(path)


# --- writing --------------------------------------------------------------------------------------


def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        with atomic(tmp_path / "shared") as unfinished:
            unfinished.write_text("for the group")
        with lock(tmp_path / ".lock"):
            pass
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"shared": 0o664, ".lock": 0o664}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_file_and_the_remedy(tmp_path, number):
    """Libraries in other languages say it in words only."""
    with pytest.raises(OSError, match="No space left .*: free some, .*weights'") as caught:
        with atomic(tmp_path / "weights"):
            raise RuntimeError(f"I/O error: {os.strerror(number)} (os error {number})")
    assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())


def test_a_disk_without_space_explains_an_error_that_says_nothing(tmp_path, monkeypatch):
    free = 10 * 2**20
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(RuntimeError, match="HDF error"), atomic(tmp_path / "log.nc"):
        raise RuntimeError("NetCDF: HDF error")
    free = 4096
    with pytest.raises(OSError, match=r"No space left .*log\.nc"), atomic(tmp_path / "log.nc"):
        raise RuntimeError("NetCDF: HDF error")


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from invlib.inversion.cache import cached_invert
from invlib.models.loading import load_model
from invlib.results.netcdf import save_results
from invlib.training.train import train
from tests.invlib.results.datasets import SIZES, comparison
from tests.invlib.training.tiny import TINY

root = Path(sys.argv[1])
model, images = load_model("vit_pico_patch8_32"), torch.rand(8, 3, 32, 32)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
for write in (
    lambda: train(TINY, root=root, device="cpu"),
    lambda: cached_invert(model, images, cache=root / "inversions", iterations=1),
    lambda: save_results(comparison(sizes=SIZES | {"y": 90, "x": 90}), root / "result.nc"),
):
    try:
        write()
    except OSError as error:
        print(error)
print(sorted(p.name for p in root.rglob("*") if p.is_file() and p.name != ".lock"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the system are POSIX")
def test_writers_that_may_not_write_on_name_the_file_and_leave_no_part(tmp_path):
    """A real limit on the size of files, met in the middle of each of the three writers."""
    out = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True
    )
    lines = out.stdout.splitlines()
    assert len(lines) == 4, out.stderr
    assert "No space left" in lines[0] and "epoch_000.safetensors" in lines[0]
    assert "No space left" in lines[1] and ".safetensors" in lines[1]
    assert "result.nc" in lines[2] and ("disk full" in lines[2] or "No space" in lines[2])
    assert [n for n in eval(lines[3]) if not n.endswith(".lock")] == ["run.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 30_000


def test_a_lock_in_a_folder_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file is no folder .* let INVLIB_CACHE name another"):
        lock(tmp_path / "file" / ".lock")
