"""Data sets on disk: archives, image folders, and what is said where neither is found."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from invlib.data import sources
from invlib.data.images import load_images
from tests.invlib.data.on_disk import cache_entries, noise, own_root, put_archive, put_picture


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    return own_root(tmp_path, monkeypatch)


# --- archives ------------------------------------------------------------------------------------


def test_an_archive_is_read_as_it_stands(root):
    arrays = put_archive(root / "mine", classes=["a", "b", "c"])
    images = load_images("mine", "train")
    np.testing.assert_array_equal(images.images, arrays["images"])
    np.testing.assert_array_equal(images.labels, arrays["labels"])
    assert (images.name, images.split, images.class_names) == ("mine", "train", ("a", "b", "c"))
    assert images.labels.dtype == np.int64 and isinstance(images.images, np.memmap)


def test_root_goes_before_the_environment(root, tmp_path):
    put_archive(tmp_path / "other" / "mine")
    assert len(load_images("mine", "train", root=tmp_path / "other")) == 12
    with pytest.raises(ValueError, match="there is no data set 'mine'"):
        load_images("mine", "train")


def test_labels_that_are_a_choice_of_many_are_numbered_in_their_order(root):
    """Ten ImageNet classes keep ImageNet's numbers in the file, and are 0 to 9 for training."""
    names = {"285": "Egyptian cat", "30": "bullfrog", "779": "school bus"}
    labels = np.array([285, 30, 779, 30] * 3)
    put_archive(root / "few", classes=names, labels=labels)
    images = load_images("few", "train")
    assert images.class_names == ("bullfrog", "Egyptian cat", "school bus")
    np.testing.assert_array_equal(images.labels, [1, 0, 2, 0] * 3)


def test_without_names_classes_are_called_by_their_number(root):
    put_archive(root / "mine", labels=np.array([0, 3] * 6, np.uint8))
    images = load_images("mine", "train")
    assert images.class_names == ("0", "1", "2", "3")
    np.testing.assert_array_equal(images.labels, [0, 3] * 6)


def test_n_draws_the_same_images_as_sample(root):
    put_archive(root / "mine")
    drawn, sampled = load_images("mine", "train", n=5, seed=2), load_images("mine", "train")
    np.testing.assert_array_equal(drawn.images, sampled.sample(5, seed=2).images)
    assert not isinstance(drawn.images, np.memmap)
    with pytest.raises(ValueError, match="n=13 images were asked for, but mine/train has 12"):
        load_images("mine", "train", n=13)


def test_a_path_is_a_folder_of_splits_or_one_archive(root, tmp_path, monkeypatch):
    put_archive(tmp_path / "elsewhere" / "mine", split="train")
    put_archive(tmp_path / "elsewhere" / "mine", split="test")
    monkeypatch.chdir(tmp_path)
    for name in ("elsewhere/mine", "./elsewhere/mine", tmp_path / "elsewhere/mine"):
        assert load_images(name, "test").name == "mine"
    archive = str(tmp_path / "elsewhere/mine/train.npz")
    assert len(load_images(archive, "train")) == 12
    with pytest.raises(ValueError, match="split='test' is not one of 'train'"):
        load_images(archive, "test")  # would otherwise test on the training images
    with pytest.raises(FileNotFoundError, match="there is no file .*nowhere.npz"):
        load_images("nowhere.npz", "nowhere")


@pytest.mark.parametrize(
    "arrays,classes,error,message",
    [
        ({"images": noise().astype(np.float32)}, None, TypeError, "images are float32, not uint8"),
        ({"images": noise()[..., 0]}, None, ValueError, r"shape \(12, 8, 8\), not \(N, H, W, 3\)"),
        ({"labels": np.zeros(11, int)}, None, ValueError, r"shape \(11,\), but there are 12"),
        ({"labels": np.zeros(12)}, None, TypeError, "labels are float64, not integers"),
        ({"labels": np.arange(12) - 1}, None, ValueError, r"no class for the labels \[-1\]"),
        ({"labels": -1 - np.arange(12)}, None, ValueError, r"no class for the labels"),
        ({}, ["a", "b"], ValueError, r"no class for the labels \[2\]"),
        ({}, {"0": "a", "2": "c"}, ValueError, r"no class for the labels \[1\]"),
        ({}, {"cat": "Cat"}, ValueError, "classes.json: a label is no number"),
        ({}, "cat", ValueError, "^[^:]*classes.json is neither a list of class"),
        ({"labels": np.arange(12) * 10**8}, None, ValueError, "up to 1100000000, and there is no"),
        ({"labels": np.array([None] * 12)}, None, ValueError, "holds Python objects; save arrays"),
    ],
)
def test_what_an_archive_must_not_hold(root, tmp_path, arrays, classes, error, message):
    put_archive(root / "mine", classes=classes, **arrays)
    with pytest.raises(error, match=message):
        load_images("mine", "train")
    assert cache_entries(tmp_path) == []


def test_an_archive_without_the_two_arrays_says_what_it_holds(root):
    (root / "mine").mkdir()
    np.savez(root / "mine" / "train.npz", x=np.zeros(3), labels=np.zeros(3, int))
    with pytest.raises(ValueError, match=r"holds \['x', 'labels'\], not 'images' and 'labels'"):
        load_images("mine", "train")


def _with_flag(archive):
    """Return a zip archive in which every file says that it needs a password."""
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        first, *rest = archive.split(mark)
        at -= len(mark)
        rest = [part[:at] + bytes([part[at] | 1]) + part[at + 1 :] for part in rest]
        archive = mark.join([first, *rest])
    return archive


def test_a_broken_archive_is_named_whatever_its_split(tmp_path):
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="broken.npz is not a complete .npz archive"):
        load_images(str(path), "train")


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "encrypted", "empty", "text"])
def test_a_corrupt_archive_is_refused_by_name_and_leaves_nothing(root, tmp_path, damage):
    put_archive(root / "mine")
    path = root / "mine" / "train.npz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "overwritten": whole[:300] + b"\0" * 50 + whole[350:],  # the zip directory is intact
            "encrypted": _with_flag(whole),
            "empty": b"",
            "text": b"<html>404</html>",
        }[damage]
    )
    with pytest.raises(ValueError, match="train.npz is not a complete .npz archive: .* damaged"):
        load_images("mine", "train")
    assert cache_entries(tmp_path) == []
    path.write_bytes(whole)
    assert len(load_images("mine", "train")) == 12


def test_a_folder_called_like_an_archive_is_none(root):
    (root / "mine/train.npz").mkdir(parents=True)
    with pytest.raises(ValueError, match="mine has no train/ and test/"):
        load_images("mine", "train")


def test_classes_that_are_not_json_are_refused_by_name(root):
    put_archive(root / "mine")
    (root / "mine" / "classes.json").write_text("[")
    with pytest.raises(ValueError, match="classes.json is not JSON"):
        load_images("mine", "train")


# --- names and splits ----------------------------------------------------------------------------


def test_an_unknown_name_names_the_nearest_and_how_to_bring_ones_own(root):
    put_archive(root / "butterflies")
    with pytest.raises(ValueError, match="did you mean 'cifar10'") as caught:
        load_images("cifra10", "train")
    assert "'INVLIB_DATA'" not in str(caught.value) and "INVLIB_DATA" in str(caught.value)
    assert f"did you mean 'cifar10'? Looked in {root / 'cifra10'}, which" in str(caught.value)
    with pytest.raises(ValueError, match="did you mean 'butterflies'"):
        load_images("butterfly", "train")


def test_another_case_is_a_near_name(root):
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        load_images("CIFAR10", "train")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_folder_of_all_data_sets(root, name):
    put_archive(root / "mine")
    with pytest.raises(ValueError, match=f"name={name!r} is empty"):
        load_images(name, "train")


def test_a_path_to_nothing_names_the_nearest_folder(root):
    put_archive(root / "butterflies")
    with pytest.raises(ValueError, match="there is no folder .*did you mean 'butterflies'"):
        load_images(f"{root}/butterfly", "train")


def test_known_names_end_with_a_full_stop(root):
    with pytest.raises(ValueError, match=r"known are [\w, ]*svhn\. Looked in"):
        load_images("zzzzzz", "train")


def test_a_folder_without_splits_says_what_it_should_hold(root, tmp_path):
    put_picture(tmp_path / "pictures/cat/1.jpg")
    (root / "empty").mkdir()
    for name, folder, message in (
        (str(tmp_path / "pictures"), tmp_path / "pictures", "the classes cat, but no train/ and"),
        ("empty", root / "empty", "has no train/ and test/"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_images(name, "train")
        assert str(caught.value).startswith(str(folder))
        assert "known are" not in str(caught.value)


def test_imagenet_says_where_to_put_it(root):
    with pytest.raises(ValueError, match=r"no data set 'imagenet'.*train/<class>/\*\.jpg"):
        load_images("imagenet", "train")


def test_a_split_that_is_not_there_names_those_that_are(root):
    put_archive(root / "mine", split="train")
    put_archive(root / "mine", split="extra")
    with pytest.raises(ValueError, match="split='test' is not one of 'extra', 'train'"):
        load_images("mine", "test")
    with pytest.raises(ValueError, match="split='tset' is not .*did you mean 'test'"):
        load_images("svhn", "tset")


def test_ones_own_files_go_before_a_download_and_are_not_mixed_with_one(root):
    """Half of an own EuroSAT beside the official one would share images with the other half."""
    put_archive(root / "eurosat", split="train")
    put_picture(root / "eurosat/2750/Forest/Forest_1.jpg")
    assert len(load_images("eurosat", "train")) == 12
    with pytest.raises(ValueError, match="split='test' is not one of 'train'"):
        load_images("eurosat", "test")


# --- image folders -------------------------------------------------------------------------------


def test_an_image_folder_is_cropped_to_squares_with_one_class_per_folder(root):
    for k, colour in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        put_picture(root / f"mine/train/class{k}/wide.png", (130, 70), colour)
        put_picture(root / f"mine/train/class{k}/tall.JPG", (66, 99), colour)
    (root / "mine/train/class0/notes.txt").write_text("not an image")
    images = load_images("mine", "train")
    assert images.images.shape == (6, 64, 64, 3)  # the largest of our sides that 68 fills
    np.testing.assert_array_equal(images.labels, [0, 0, 1, 1, 2, 2])
    assert images.class_names == ("class0", "class1", "class2")
    for image, label in zip(images.images, images.labels, strict=True):
        assert (image[..., label] > 245).all()


def test_resize_of_the_shorter_side_and_centre_crop_agree_with_torchvision(root):
    from torchvision.transforms.v2.functional import center_crop, resize

    pixels = put_picture(root / "mine/train/a/1.png", (150, 100))
    images = load_images("mine", "train")
    expected = center_crop(resize(Image.fromarray(pixels), 96, interpolation=3), 96)
    # torchvision crops at whole pixels after resizing, Pillow's fit at fractions before it
    difference = np.abs(images.images[0].astype(int) - np.asarray(expected))
    assert images.images.shape == (1, 96, 96, 3) and difference.mean() < 1.5


def test_splits_number_the_classes_alike_and_val_serves_as_test(root):
    for class_name in ("ant", "bee", "cow"):
        put_picture(root / f"imagenet/train/{class_name}/1.png", (32, 32))
    put_picture(root / "imagenet/val/bee/9.png", (32, 32))  # alone, it would be class 0
    (root / "imagenet/classes.json").write_text(json.dumps({"bee": "honey bee"}))
    for split in ("val", "test"):
        images = load_images("imagenet", split)
        assert images.labels.tolist() == [1] and images.class_names == ("ant", "honey bee", "cow")


def test_broken_and_missing_images_are_refused_by_name(root, tmp_path):
    (root / "mine/train/a").mkdir(parents=True)
    with pytest.raises(ValueError, match="mine has no train/ and test/"):
        load_images("mine", "train")
    for k in range(3):
        put_picture(root / f"mine/train/a/{k}.png", (64, 64))
    whole = (root / "mine/train/a/1.png").read_bytes()
    for damaged, message in ((whole[:2000], "not a complete image"), (b"text", "not an image")):
        (root / "mine/train/a/1.png").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"1.png is {message}"):
            load_images("mine", "train")
    assert cache_entries(tmp_path) == []


# --- what is no ordinary file -------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are POSIX")
@pytest.mark.parametrize("n", [None, 1])
def test_a_pipe_among_images_is_named_and_nobody_waits_for_it(root, n):
    put_picture(root / "mine/train/a/1.png", (40, 40))
    os.mkfifo(root / "mine/train/a/0.png")
    with pytest.raises(ValueError, match=r"a/0\.png is a folder, a pipe or a device, not an image"):
        load_images("mine", "train", n=n)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are POSIX")
def test_a_pipe_in_the_place_of_an_archive_is_refused(root):
    (root / "mine").mkdir()
    os.mkfifo(root / "mine" / "train.npz")
    with pytest.raises(ValueError, match="mine"):
        load_images("mine", "train")
    with pytest.raises(FileNotFoundError, match=r"train\.npz"):
        load_images(str(root / "mine" / "train.npz"), "train")


def test_a_device_among_images_is_named(root):
    put_picture(root / "mine/train/a/1.png", (40, 40))
    (root / "mine/train/a/0.png").symlink_to(os.devnull)
    with pytest.raises(ValueError, match=r"a/0\.png is a folder, a pipe or a device"):
        load_images("mine", "train")


def test_a_decompression_bomb_is_named(root, monkeypatch):
    put_picture(root / "mine/train/a/0.png", (64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"a/0\.png has too many pixels; make it smaller"):
        load_images("mine", "train")


def test_a_name_that_is_not_utf8_is_refused_by_its_bytes(root):
    name = os.fsdecode(b"caf\xe9")
    put_picture(root / "mine/train" / name / "0.png", (40, 40))
    with pytest.raises(ValueError, match=r"caf\\xe9': the name is not UTF-8; rename it"):
        load_images("mine", "train")
    put_archive(root / name)
    with pytest.raises(ValueError, match=r"caf\\xe9': the name is not UTF-8"):
        load_images(name, "train")
    # a file of such a name is an image like any other
    put_picture(root / "other/train/a" / f"{name}.png", (40, 40))
    assert len(load_images("other", "train")) == 1


def test_an_archive_that_claims_too_much_is_refused_before_it_is_read(root, monkeypatch):
    put_archive(root / "mine", images=np.zeros((12, 64, 64, 3), np.uint8))  # small when compressed
    monkeypatch.setattr(sources, "_LARGEST", 100_000)
    monkeypatch.setattr(sources.np, "load", None)  # reading would fail
    with pytest.raises(
        ValueError, match=r"train\.npz is too large .*keep such a data set as a fol"
    ):
        load_images("mine", "train")


def test_an_archive_that_the_memory_cannot_hold_is_named(root, monkeypatch):
    put_archive(root / "mine")

    def exhausted(*arguments, **options):
        raise MemoryError("Unable to allocate 4.2 TiB")

    monkeypatch.setattr(sources.np, "load", exhausted)
    with pytest.raises(ValueError, match=r"train\.npz is too large to be read at once \(Unable"):
        load_images("mine", "train")
