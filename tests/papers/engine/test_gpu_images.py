"""Data sets on their way: the arrays that leave are those that arrive."""

import numpy as np
import pytest

from invlib import load_images
from papers.engine.gpu import LIST
from papers.engine.pool import load_sections
from papers.engine.work import gpu_images
from papers.engine.work.gpu_images import data_sets, pack, unpack
from papers.sections import SECTIONS
from tests.workspace import ROOT


def archives(folder, shape=(237, 5, 7, 3)):
    """Write a data set of noise, in which no picture is like another."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in dict(train=shape[0], test=1).items():
        images = rng.integers(0, 256, (n, *shape[1:]), np.uint8)
        np.savez(folder / f"{split}.npz", images=images, labels=rng.integers(0, 9, n))
    (folder / "classes.json").write_text('["a", "b", "c", "d", "e", "f", "g", "h", "i"]')


@pytest.mark.parametrize("pixels", [2**24, 7 * 100 * 5 * 2])  # in one picture, in two rows each
def test_archives_arrive_as_they_left(tmp_path, monkeypatch, pixels):
    monkeypatch.setattr(gpu_images, "PIXELS", pixels)
    archives(tmp_path / "noise")
    pack(tmp_path / "noise", tmp_path / "bundle/1/images/noise")
    pictures = list(tmp_path.glob("bundle/1/images/noise/train-*.webp"))
    assert len(pictures) == (1 if pixels == 2**24 else 2)
    unpack(tmp_path / "bundle", tmp_path / "there")
    for split in ("train", "test"):
        before, after = (np.load(tmp_path / f / "noise" / f"{split}.npz") for f in ("", "there"))
        for name in ("images", "labels"):
            assert before[name].dtype == after[name].dtype
            np.testing.assert_array_equal(before[name], after[name])
    assert load_images(str(tmp_path / "there" / "noise"), "train").class_names[0] == "a"


def test_image_files_arrive_byte_by_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_images, "TAR", 100)
    for i, place in enumerate(["train/a", "train/b", "test/a", "test/b"]):
        (tmp_path / "pets" / place).mkdir(parents=True)
        (tmp_path / "pets" / place / "x.jpg").write_bytes(bytes([i]) * 60)
    pack(tmp_path / "pets", tmp_path / "bundle/3/images/pets")
    assert len(list(tmp_path.glob("bundle/3/images/pets/*.tar"))) == 2
    unpack(tmp_path / "bundle", tmp_path / "there")
    for file in (tmp_path / "pets").rglob("*.jpg"):
        there = tmp_path / "there/pets" / file.relative_to(tmp_path / "pets")
        assert there.read_bytes() == file.read_bytes()


def test_a_data_set_may_be_spread_over_folders_of_which_none_may_lack(tmp_path):
    archives(tmp_path / "noise")
    pack(tmp_path / "noise", tmp_path / "bundle/1/images/noise")
    other = tmp_path / "bundle/2/images/noise"
    other.mkdir(parents=True)
    picture = tmp_path / "bundle/1/images/noise/train-000.webp"
    picture.rename(tmp_path / "kept")
    with pytest.raises(FileNotFoundError, match=r"noise lacks train-000\.webp; bring all"):
        unpack(tmp_path / "bundle", tmp_path / "there")
    (tmp_path / "kept").rename(other / picture.name)
    unpack(tmp_path / "bundle", tmp_path / "there")
    there = tmp_path / "there/noise/train.npz"
    before = there.stat().st_mtime_ns
    unpack(tmp_path / "bundle", tmp_path / "there")
    assert there.stat().st_mtime_ns == before


def test_data_sets_are_those_that_sections_read():
    assert data_sets([SECTIONS["finetuning_task"]()]) == []  # all embedded
    names = ["other_images", "architectures"]
    assert data_sets(load_sections(ROOT / LIST, names)) == [
        "cifar10", "cifar100", "eurosat", "medical_mnist",
    ]  # fmt: skip


def test_scanned_digits_arrive_as_they_left_and_take_less(tmp_path):
    digits = load_images("digits", "test")
    small = tmp_path / "scans"
    small.mkdir()
    np.savez_compressed(small / "test.npz", images=digits.images, labels=digits.labels)
    pack(small, tmp_path / "bundle/1/images/scans")
    unpack(tmp_path / "bundle", tmp_path / "there")
    with np.load(tmp_path / "there/scans/test.npz") as there:
        np.testing.assert_array_equal(there["images"], digits.images)
    packed = (tmp_path / "bundle/1/images/scans/test-000.webp").stat().st_size
    assert packed < 0.75 * (small / "test.npz").stat().st_size
