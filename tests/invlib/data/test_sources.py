"""Data sets on disk: archives, image folders, official layouts, the decoded cache, and failures.

Small files in the official layouts stand in for the downloads. Only torchvision's table of
checksums is replaced; finding, unpacking, reading and splitting are the real ones.
"""

import json
import pickle
import tarfile
import threading
import urllib.error
from hashlib import md5

import numpy as np
import pytest
import scipy.io
import torchvision.datasets as tv
from PIL import Image

from invlib.data import decoded
from invlib.data import downloads as official
from invlib.data.images import load_images

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A data root and a cache of each test's own, and no network."""

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("INVLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    (tmp_path / "data").mkdir()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def noise(n=12, size=8):
    return RNG.integers(0, 256, (n, size, size, 3), np.uint8)


def put_archive(folder, split="train", classes=None, **arrays):
    arrays = {"images": noise(), "labels": np.arange(12) % 3} | arrays
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{split}.npz", **arrays)
    if classes is not None:
        (folder / "classes.json").write_text(json.dumps(classes))
    return arrays


def put_picture(path, size=(8, 8), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*size[::-1], 3), np.uint8) if colour is None else colour
    picture = Image.fromarray(pixels) if colour is None else Image.new("RGB", size, colour)
    picture.save(path)
    return np.asarray(picture)


def cache_entries(tmp_path):
    folder = tmp_path / "cache" / "images"
    return [p for p in folder.iterdir() if not p.name.endswith(".lock")] if folder.exists() else []


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
        ({}, "cat", ValueError, "neither a list of class names nor an object"),
        ({"labels": np.array([None] * 12)}, None, ValueError, "not a complete .npz archive"),
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


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "empty", "text"])
def test_a_corrupt_archive_is_refused_by_name_and_leaves_nothing(root, tmp_path, damage):
    put_archive(root / "mine")
    path = root / "mine" / "train.npz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "overwritten": whole[:300] + b"\0" * 50 + whole[350:],  # the zip directory is intact
            "empty": b"",
            "text": b"<html>404</html>",
        }[damage]
    )
    with pytest.raises(ValueError, match="train.npz is not a complete .npz archive"):
        load_images("mine", "train")
    assert cache_entries(tmp_path) == []
    path.write_bytes(whole)
    assert len(load_images("mine", "train")) == 12


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
    assert str(root / "cifra10") in str(caught.value)
    with pytest.raises(ValueError, match="did you mean 'butterflies'"):
        load_images("butterfly", "train")


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
    with pytest.raises(ValueError, match="train holds no images"):
        load_images("mine", "train")
    for k in range(3):
        put_picture(root / f"mine/train/a/{k}.png", (64, 64))
    whole = (root / "mine/train/a/1.png").read_bytes()
    for damaged, message in ((whole[:2000], "not a complete image"), (b"text", "not an image")):
        (root / "mine/train/a/1.png").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"1.png is {message}"):
            load_images("mine", "train")
    assert cache_entries(tmp_path) == []


# --- the decoded cache ---------------------------------------------------------------------------


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
    with pytest.raises(OSError, match="let INVLIB_CACHE name a folder"):
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


# --- official layouts ----------------------------------------------------------------------------


def put_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path.name, md5(path.read_bytes()).hexdigest()


def put_cifar(base, monkeypatch, name, batches, key):
    """Write CIFAR's pickles below `base`, and let torchvision expect their checksums."""
    dataset = {"cifar10": tv.CIFAR10, "cifar100": tv.CIFAR100}[name]
    folder = base / dataset.base_folder
    images = noise(4 * len(batches), size=32)
    labels = np.arange(len(images)) % 3
    written = []
    for k, batch in enumerate(batches):
        part = slice(4 * k, 4 * k + 4)
        rows = images[part].transpose(0, 3, 1, 2).reshape(4, 3072)  # three planes a row
        written.append(put_pickle(folder / batch, {"data": rows, key: labels[part].tolist()}))
    meta_key = dataset.meta["key"]
    names = ["airplane", "automobile", "bird"]
    meta, checksum = put_pickle(folder / dataset.meta["filename"], {meta_key: names})
    monkeypatch.setattr(dataset, "train_list", written[:-1])
    monkeypatch.setattr(dataset, "test_list", written[-1:])
    monkeypatch.setattr(dataset, "meta", {"filename": meta, "key": meta_key, "md5": checksum})
    return images, labels


CIFAR = [
    ("cifar10", [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"], "labels"),
    ("cifar100", ["train", "test"], "fine_labels"),
]


@pytest.mark.parametrize("name,batches,key", CIFAR)
def test_cifar_from_the_official_pickles(root, monkeypatch, name, batches, key):
    images, labels = put_cifar(root, monkeypatch, name, batches, key)
    for split, part in (("train", slice(None, -4)), ("test", slice(-4, None))):
        loaded = load_images(name, split)
        np.testing.assert_array_equal(loaded.images, images[part])
        np.testing.assert_array_equal(loaded.labels, labels[part])
        assert loaded.class_names == ("airplane", "automobile", "bird")


def test_a_damaged_official_file_fails_its_checksum(root, tmp_path, monkeypatch):
    put_cifar(root, monkeypatch, *CIFAR[1])
    with open(root / "cifar-100-python/test", "ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="cifar100 in .* is damaged.*delete cifar-100-python"):
        load_images("cifar100", "train")
    assert cache_entries(tmp_path) == []


def pack_cifar(tmp_path, monkeypatch):
    """Return the official archive, and what is in it."""
    images, _ = put_cifar(tmp_path / "unpacked", monkeypatch, *CIFAR[0])
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "unpacked/cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(tv.CIFAR10, "tgz_md5", md5(archive.read_bytes()).hexdigest())
    return archive, images


def test_a_download_is_unpacked_once_and_then_read_from_the_cache(root, tmp_path, monkeypatch):
    archive, images = pack_cifar(tmp_path, monkeypatch)
    fetched = []

    def fetch(url, filename, chunk_size=None):
        fetched.append(url)
        with open(filename, "wb") as file:
            file.write(archive.read_bytes())

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", fetch)
    np.testing.assert_array_equal(load_images("cifar10", "train").images, images[:-4])
    np.testing.assert_array_equal(load_images("cifar10", "test").images, images[-4:])
    assert len(fetched) == 1 and "cifar-10-python.tar.gz" in fetched[0]
    visible = [path.name for path in root.iterdir() if not path.name.endswith(".lock")]
    assert visible == ["cifar-10-batches-py"]
    monkeypatch.setattr(official, "_open", None)
    assert len(load_images("cifar10", "train")) == 20


def test_an_archive_put_there_by_hand_needs_no_network(root, tmp_path, monkeypatch):
    archive, images = pack_cifar(tmp_path, monkeypatch)
    (root / archive.name).write_bytes(archive.read_bytes())
    np.testing.assert_array_equal(load_images("cifar10", "test").images, images[-4:])

    (root / "cifar-10-batches-py").rename(tmp_path / "away")
    (root / archive.name).write_bytes(archive.read_bytes()[:-9])
    with pytest.raises(FileNotFoundError, match="cifar-10-python.tar.gz is there, but fails its"):
        load_images("cifar10", "test")


@pytest.mark.parametrize("name", sorted(official.OFFICIAL))
def test_no_network_says_what_was_looked_for_and_where_to_put_it(root, tmp_path, name):
    with pytest.raises(FileNotFoundError) as caught:
        load_images(name, "test")
    message = str(caught.value)
    expected = official.OFFICIAL[name].files[0].format(split="test")
    for part in (name, str(root), "Name or service not known", expected, "INVLIB_DATA"):
        assert part in message
    left = [path for path in root.rglob("*") if not path.name.endswith(".lock")]
    assert left == [] and cache_entries(tmp_path) == []


def test_a_root_that_cannot_be_written_says_so(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="svhn is not in .*(Not a directory|File exists)"):
        load_images("svhn", "train", root=tmp_path / "file")


def test_svhn_from_the_official_mat_files(root, monkeypatch):
    images, digits = noise(6, size=32), np.array([1, 10, 3, 9, 10, 2])  # 10 is the digit 0
    table = {}
    for split in ("train", "test", "extra"):
        path = root / f"{split}_32x32.mat"
        scipy.io.savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": digits[:, None]})
        table[split] = ["", path.name, md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(tv.SVHN, "split_list", table)
    for split in table:
        loaded = load_images("svhn", split)
        np.testing.assert_array_equal(loaded.images, images)
        assert loaded.labels.tolist() == [1, 0, 3, 9, 0, 2]
        assert loaded.class_names == tuple("0123456789")


def test_eurosat_is_split_by_a_hash_of_the_names(root):
    for class_name in ("Forest", "River"):
        for k in range(1, 11):
            put_picture(root / f"eurosat/2750/{class_name}/{class_name}_{k}.jpg", (64, 64))
    train, test = load_images("eurosat", "train"), load_images("eurosat", "test")
    assert train.images.shape == (16, 64, 64, 3) and test.images.shape == (4, 64, 64, 3)
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert train.class_names == ("Forest", "River")
    both = np.concatenate([train.images, test.images])
    assert len(np.unique(both.reshape(20, -1), axis=0)) == 20
    # the split itself is part of every result: these names, and no others, are for testing
    paths = np.array([f"Forest_{k}.jpg" for k in range(1, 11)])
    held_out = official._held_out(paths, np.zeros(10, int))
    assert paths[held_out].tolist() == ["Forest_4.jpg", "Forest_5.jpg"]


def test_pets_from_the_official_lists(root):
    base = root / "oxford-iiit-pet"
    lists = {"trainval": ["Abyssinian_1 1 1 1", "american_bulldog_7 2 2 1", "Abyssinian_2 1 1 1"],
             "test": ["american_bulldog_3 2 2 1", "Abyssinian_5 1 1 1"]}  # fmt: skip
    (base / "annotations").mkdir(parents=True)
    for split, lines in lists.items():
        (base / f"annotations/{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            put_picture(base / f"images/{line.split()[0]}.jpg", (300, 240))
    train, test = load_images("oxford_pets", "train"), load_images("oxford_pets", "test")
    assert train.images.shape == (3, 224, 224, 3)
    assert train.labels.tolist() == [0, 1, 0] and test.labels.tolist() == [1, 0]
    assert train.class_names == ("Abyssinian", "American Bulldog")
    (base / "annotations/test.txt").unlink()
    with pytest.raises(ValueError, match="oxford_pets in .* is damaged or incomplete"):
        load_images("oxford_pets", "test")
