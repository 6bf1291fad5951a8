"""The decoded cache: made once, made again where it is damaged, and nothing left by a failure."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from invlib.data import decoded
from invlib.data.images import load_images
from tests.invlib.data.on_disk import cache_entries, noise, own_root, put_archive, put_picture


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    return own_root(tmp_path, monkeypatch)


def test_only_the_images_drawn_are_decoded_and_they_are_those_of_the_whole(root, monkeypatch):
    for k in range(12):
        put_picture(root / f"mine/train/class{k % 3}/{k}.png", (40, 40))
    decode, calls = decoded._decode_file, []

    def counted(path, **options):
        calls.append(path)
        return decode(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoded, "_decode_file", counted)
        few = load_images("mine", "train", n=5, seed=1)
        load_images("mine", "train", n=5, seed=1)
    assert len(calls) == 5
    everything = load_images("mine", "train")
    np.testing.assert_array_equal(few.images, everything.sample(5, seed=1).images)
    np.testing.assert_array_equal(few.labels, everything.sample(5, seed=1).labels)
    assert few.images.shape == (5, 32, 32, 3) and isinstance(few.images, np.memmap)
    rest = load_images("mine", "train", seed=1, skip=5)
    np.testing.assert_array_equal(rest.images, everything.sample(None, seed=1, skip=5).images)
    assert len(rest) == 7 and not set(map(bytes, few.images)) & set(map(bytes, rest.images))


def test_a_file_is_decoded_once_until_it_changes(root, tmp_path, monkeypatch):
    put_archive(root / "mine")
    first = load_images("mine", "train")
    with monkeypatch.context() as patch:
        patch.setattr("invlib.data.sources._arrays", None)  # not read again
        assert load_images("mine", "train").fingerprint == first.fingerprint
    assert len(cache_entries(tmp_path)) == 1
    changed = put_archive(root / "mine", images=noise(size=10))
    np.testing.assert_array_equal(load_images("mine", "train").images, changed["images"])
    put_archive(root / "mine", classes=["a", "b", "c"], **changed)
    assert load_images("mine", "train").class_names == ("a", "b", "c")


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "classes.json"])
def test_a_damaged_entry_is_made_again(root, tmp_path, file):
    arrays = put_archive(root / "mine")
    load_images("mine", "train")
    (entry,) = cache_entries(tmp_path)
    whole = (entry / file).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", None):
        (entry / file).unlink() if damaged is None else (entry / file).write_bytes(damaged)
        np.testing.assert_array_equal(load_images("mine", "train").images, arrays["images"])
    assert cache_entries(tmp_path) == [entry]


def test_an_interrupted_decoding_leaves_nothing(root, tmp_path, monkeypatch):
    for k in range(6):
        put_picture(root / f"mine/train/a/{k}.png", (32, 32))
    monkeypatch.setattr(decoded, "_BLOCK", 2)
    decode, calls = decoded._decode_file, []

    def interrupted(path, **options):
        calls.append(path)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return decode(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoded, "_decode_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_images("mine", "train")
    assert calls and cache_entries(tmp_path) == []
    assert len(load_images("mine", "train")) == 6


def test_a_full_disk_leaves_nothing_and_says_so(root, tmp_path, monkeypatch):
    put_archive(root / "mine")

    def full(file, pixels):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded, "_write_blocks", full)
    with pytest.raises(OSError, match="No space left"):
        load_images("mine", "train")
    assert cache_entries(tmp_path) == []


def test_a_cache_that_cannot_be_written_says_how_to_move_it(root, tmp_path, monkeypatch):
    put_archive(root / "mine")
    (tmp_path / "file").touch()
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path / "file"))  # as good as read-only, also to root
    with pytest.raises(OSError, match="let INVLIB_CACHE name another folder"):
        load_images("mine", "train")


def test_two_readers_at_once_decode_once(root, monkeypatch):
    from invlib.data import sources

    put_archive(root / "mine")
    read, calls, results = sources._arrays, [], []

    def counted(path):
        calls.append(path)
        return read(path)

    monkeypatch.setattr(sources, "_arrays", counted)
    threads = [
        threading.Thread(target=lambda: results.append(load_images("mine", "train")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and len(calls) == 1


def test_the_lock_keeps_a_second_reader_out_while_the_first_decodes(root, monkeypatch):
    """The first waits inside for a second, which comes in only if nothing holds it back."""
    from invlib.data import sources

    put_archive(root / "mine")
    read, both, calls = sources._arrays, threading.Barrier(2), []

    def waiting(path):
        calls.append(path)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.7)
        return read(path)

    monkeypatch.setattr(sources, "_arrays", waiting)
    with ThreadPoolExecutor(2) as many:
        list(many.map(lambda _: load_images("mine", "train"), range(2)))
    assert len(calls) == 1 and both.broken


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "classes.json", "digests.json"])
def test_a_flipped_bit_is_noticed_and_the_entry_made_again(root, tmp_path, file, caplog):
    arrays = put_archive(root / "mine")
    load_images("mine", "train")
    (entry,) = cache_entries(tmp_path)
    blob = bytearray((entry / file).read_bytes())
    blob[-3] ^= 1  # an image, a label, a name or a digest: each would be another valid one
    (entry / file).write_bytes(blob)
    images = load_images("mine", "train")
    np.testing.assert_array_equal(images.images, arrays["images"])
    np.testing.assert_array_equal(images.labels, arrays["labels"])
    assert images.class_names == ("0", "1", "2")
    assert f"{entry} is no whole cache entry and is made again" in caplog.text
    caplog.clear()
    load_images("mine", "train")
    assert not caplog.text


def test_an_entry_is_read_without_a_lock(root, monkeypatch):
    put_archive(root / "mine")
    load_images("mine", "train")
    monkeypatch.setattr(decoded, "lock", None)  # calling it would fail
    load_images("mine", "train")
