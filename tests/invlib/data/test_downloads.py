"""Official data sets: their layouts, their checksums, and what is said where they are not.

Small files in the official layouts stand in for the downloads. Only torchvision's table of
checksums is replaced; finding, unpacking, reading and splitting are the real ones.
"""

import pickle
import tarfile
from hashlib import md5

import numpy as np
import pytest
import scipy.io
import torchvision.datasets as tv

from invlib.data import downloads as official
from invlib.data.images import load_images
from invlib.data.sampling import held_out
from tests.invlib.data.on_disk import cache_entries, noise, own_root, put_picture


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    return own_root(tmp_path, monkeypatch)


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
    mask = held_out(paths, np.zeros(10, int), 0.2)
    assert paths[mask].tolist() == ["Forest_4.jpg", "Forest_5.jpg"]


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
