"""Folders of images as they are downloaded, unpacked and left lying about."""

import logging
import unicodedata

import numpy as np
import pytest

from invlib.data.folders import class_files
from invlib.data.images import load_images
from tests.invlib.data.on_disk import own_root, put_picture


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    return own_root(tmp_path, monkeypatch)


def put(root, *paths):
    """Write an image of noise to each path."""
    for path in paths:
        put_picture(root / path, (32, 32))


def seen(name, split, **options):
    images = load_images(name, split, **options)
    return images.class_names, np.bincount(images.labels, minlength=images.num_classes).tolist()


def test_all_formats_in_one_class(root):
    names = ["a.jpg", "b.JPEG", "c.webp", "d.bmp", "e.tif", "f.gif", "g.PNG", "h.ppm", "i.jfif"]
    put(root, *(f"mixed/train/cat/{name}" for name in names), "mixed/train/dog/a.webp")
    assert seen("mixed", "train") == (("cat", "dog"), [9, 1])


def test_junk_and_empty_folders_are_no_classes_and_are_named(root, caplog):
    put(root, "junk/train/cat/0.JPG", "junk/train/dog/0.JPG", "junk/train/@eaDir/0.jpg")
    put(root, "junk/train/.ipynb_checkpoints/0.jpg", "junk/train/__MACOSX/0.jpg")
    put(root, "junk/__MACOSX/train/cat/0.jpg", "junk/train/cat/@eaDir/0.jpg")
    put(root, "junk/train/#recycle/0.jpg", "junk/train/System Volume Information/0.jpg")
    for name in ("cat/._0.JPG", "cat/Thumbs.db", "dog/.DS_Store", "labels.csv"):
        (root / "junk/train" / name).write_bytes(b"\0\5\x16\7")
    (root / "junk/train/dog/1.jpg").touch()  # a download that failed
    (root / "junk/train/dog/2.jpg").symlink_to(root / "nowhere.jpg")
    (root / "junk/train/empty").mkdir()
    with caplog.at_level(logging.WARNING):
        assert seen("junk", "train") == (("cat", "dog"), [1, 1])
    assert len(caplog.messages) == 1
    said = caplog.messages[0]
    assert said.startswith(
        "junk/train: 2 images; skipped 13 others: #recycle/, .ipynb_checkpoints/"
    )
    assert class_files(root / "junk/train")[1] == [
        "#recycle/", ".ipynb_checkpoints/", "@eaDir/", "System Volume Information/", "__MACOSX/",
        "cat/._0.JPG", "cat/@eaDir/",
        "cat/Thumbs.db", "dog/.DS_Store", "dog/1.jpg", "dog/2.jpg", "empty/", "labels.csv",
    ]  # fmt: skip


def test_nothing_is_said_of_a_clean_folder(root, caplog):
    put(root, "mine/train/cat/0.jpg", "mine/val/cat/0.jpg")
    with caplog.at_level(logging.WARNING):
        seen("mine", "train")
        seen("mine", "test")
    assert not caplog.messages


def test_tiny_imagenet_as_it_is_downloaded(root):
    folder = "tiny-imagenet-200"
    for name in ("n01", "n02", "n03"):
        put(root, *(f"{folder}/train/{name}/images/{name}_{i}.JPEG" for i in range(2)))
        (root / folder / "train" / name / f"{name}_boxes.txt").write_text("0 0 63 63")
    put(root, *(f"{folder}/val/images/val_{i}.JPEG" for i in range(4)))
    put(root, f"{folder}/test/images/test_0.JPEG")  # its labels are not published
    rows = [f"val_{i}.JPEG\tn0{3 - i % 2}\t0\t0\t63\t63" for i in range(3)]  # of val_3 none
    (root / folder / "val/val_annotations.txt").write_text("\n".join(rows))
    names = ("n01", "n02", "n03")
    assert seen(folder, "train") == (names, [2, 2, 2])
    for split in ("val", "test"):
        assert seen(folder, split) == (names, [0, 1, 2])
    both = [load_images(folder, "val").images[k] for k in range(3)]
    flat = load_images(root / folder / "val/images", "all").images  # val_0, val_1, val_2, val_3
    np.testing.assert_array_equal(both, flat[[1, 0, 2]])


@pytest.mark.parametrize(
    ("own", "split"),
    [("valid", "val"), ("validation", "test"), ("Train", "train"), ("testing", "test"),
     ("training_set", "train"), ("valid", "valid"), ("dev", "val"), ("TEST", "test"),
     ("test1", "test"), ("val2017", "val"), ("train_images", "train")],
)  # fmt: skip
def test_splits_have_the_usual_names_too(root, own, split):
    put(root, f"mine/{own}/cat/0.jpg", f"mine/{own}/dog/0.jpg")
    assert seen("mine", split) == (("cat", "dog"), [1, 1])


def test_of_two_folders_that_may_be_a_split_none_is_taken_for_it(root):
    put(root, "coco/train2014/cat/0.jpg", "coco/train2017/dog/0.jpg")
    with pytest.raises(ValueError, match="split='train' is not one of 'train2014', 'train2017'"):
        load_images("coco", "train")


def test_splits_without_class_folders_are_no_classes(root):
    """Dogs vs. Cats: ``train/cat.0.jpg`` and ``test1/1.jpg``."""
    put(root, "dogs/train/cat.0.jpg", "dogs/train/dog.0.jpg", "dogs/test1/1.jpg")
    for split in ("train", None):
        with pytest.raises(ValueError, match="dogs/train holds images, but no class folders"):
            load_images("dogs", split)


def test_a_data_set_beside_the_splits_is_no_split(root, caplog):
    put(root, "mine/train/cat/0.jpg", "mine/test/cat/0.jpg", "mine/backup/train/cat/0.jpg")
    assert seen("mine", "test") == (("cat",), [1])
    assert "backup has splits of its own" in caplog.text


@pytest.mark.parametrize("wrapped", ["{0}", "pets/{0}", "archive/pets/{0}"])
@pytest.mark.parametrize("split", ["training_set/training_set", "train", "train/images"])
def test_folders_that_only_wrap_others_are_passed_through(root, wrapped, split):
    put(root, *(f"pets/{wrapped.format(split)}/{name}/0.jpg" for name in ("cat", "dog")))
    assert seen("pets", "train") == (("cat", "dog"), [1, 1])


def test_classes_beside_files_of_another_kind(root):
    """Caltech, CUB, Food-101: the images in one folder, lists and notes in others."""
    put(root, *(f"birds/images/{name}/0.jpg" for name in ("1.tit", "2.owl")))
    (root / "birds/attributes").mkdir()
    (root / "birds/attributes/a.txt").write_text("1")
    assert seen("birds", "all") == (("1.tit", "2.owl"), [1, 1])


def test_what_is_beside_the_images_is_no_class(root):
    """CUB, and sets with masks: other folders with pictures, which are about the images."""
    for name in ("1.tit", "2.owl"):
        put(root, f"birds/images/{name}/0.jpg", f"birds/segmentations/{name}/0.png")
    put(root, "parts/train/images/0.jpg", "parts/train/masks/0.png")
    assert seen("birds", "all") == (("1.tit", "2.owl"), [1, 1])
    assert seen(root / "parts/train", "all") == (("unlabelled",), [1])
    with pytest.raises(ValueError, match="parts/train holds images, but no class folders"):
        load_images("parts", "train")


def test_images_beside_labels_in_text_are_no_class(root):
    """YOLO's layout: ``train/images/1.jpg`` and ``train/labels/1.txt``."""
    for split in ("train", "valid"):
        put(root, f"yolo/{split}/images/1.jpg")
        (root / "yolo" / split / "labels").mkdir()
    with pytest.raises(ValueError, match="yolo/train holds images, but no class folders"):
        load_images("yolo", "train")
    assert seen(root / "yolo/train", "all") == (("unlabelled",), [1])


def test_a_class_called_train_is_a_class(root):
    put(root, *(f"vehicles/{name}/0.jpg" for name in ("car", "ship", "train")))
    assert seen("vehicles", "all") == (("car", "ship", "train"), [1, 1, 1])


def test_one_class_stays_one(root):
    put(root, "cats/train/cat/0.jpg", "cats/train/cat/1.jpg", "alone/cat/0.jpg")
    assert seen("cats", "train") == (("cat",), [2])
    assert seen("alone", "all") == (("cat",), [1])


def test_class_folders_are_searched_to_the_bottom(root):
    put(root, "mine/train/cat/2020/0.jpg", "mine/train/cat/1.jpg", "mine/train/dog/a/b/0.jpg")
    (root / "mine/train/dog/a/loop").symlink_to(root / "mine/train/dog", target_is_directory=True)
    assert seen("mine", "train") == (("cat", "dog"), [2, 1])


def test_links_to_classes_and_files_are_followed(root, tmp_path):
    put(tmp_path, "elsewhere/0.jpg", "elsewhere/1.jpg")
    (root / "mine/train/dog").mkdir(parents=True)
    (root / "mine/train/cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "mine/train/dog/0.jpg").symlink_to(tmp_path / "elsewhere/0.jpg")
    assert seen("mine", "train") == (("cat", "dog"), [2, 1])


def test_names_with_spaces_and_in_any_script(root):
    names = ["Great Dane", "café", "猫", "a,b"]
    put(root, *(f"mine/train/{name}/0 1.jpg" for name in names))
    put(root, f"mine/test/{unicodedata.normalize('NFD', 'café')}/é.jpg")  # as macOS writes it
    assert seen("mine", "train") == (tuple(sorted(names)), [1, 1, 1, 1])
    assert seen("mine", "test") == (tuple(sorted(names)), [0, 0, 1, 0])


def test_a_split_with_other_classes_than_the_training_is_refused(root):
    put(root, "mine/train/cat/0.jpg", "mine/train/dog/0.jpg", "mine/test/unknown/0.jpg")
    with pytest.raises(ValueError, match="test has the classes unknown, none of .*cat, dog"):
        load_images("mine", "test")


def test_flat_splits_say_that_the_folder_is_there_and_what_is_missing(root):
    put(root, "imagenet/val/0.JPEG", "flat/train/0.jpg", "flat/test/0.jpg")
    for split in ("train", "val", "all"):
        with pytest.raises(ValueError, match="imagenet/val holds images, but no class folders"):
            load_images("imagenet", split)
        with pytest.raises(ValueError, match="flat/test holds images, but no .*flat/train hol"):
            load_images("flat", split)
    assert seen(root / "imagenet/val", "all") == (("unlabelled",), [1])
    with pytest.raises(ValueError, match="images without class folders.*split='all'"):
        load_images(root / "imagenet/val", "train")


@pytest.mark.parametrize("table", ["labels.csv", "train.TSV"])
def test_labels_in_a_table_are_named_where_they_are_missed(root, caplog, table):
    put(root, "loose/images/0.jpg", "flat/train/0.jpg", "flat/test/0.jpg", "classes/cat/0.jpg")
    for folder in ("loose", "flat", "classes"):
        (root / folder / table).write_text("0.jpg,cat")
    said = (
        rf"labels in {table} are not read: move the images into a folder for each class, or .*npz"
    )
    for folder in ("loose", "flat"):
        with pytest.raises(ValueError, match=said):
            load_images(folder, "train")
    assert not caplog.messages
    assert seen("loose", "all") == (("unlabelled",), [1])
    assert any("all images are unlabelled; labels in" in message for message in caplog.messages)
    caplog.clear()
    assert seen("classes", "all") == (("cat",), [1])  # which has its labels
    assert not any("labels in" in message for message in caplog.messages)


def test_a_folder_without_splits_is_divided_on_request(root):
    put(root, *(f"unsplit/{name}/{k}.png" for name in ("ant", "bee") for k in range(10)))
    with pytest.raises(ValueError, match="the classes ant, bee, but no train/.*test_share=0.2"):
        load_images("unsplit", "train")
    assert seen("unsplit", "all") == (("ant", "bee"), [10, 10])
    train, test, other = (
        load_images("unsplit", split, test_share=0.3, split_seed=seed)
        for split, seed in (("train", 0), ("test", 0), ("test", 1))
    )
    assert np.bincount(train.labels).tolist() == [7, 7]
    assert np.bincount(test.labels).tolist() == [3, 3]
    assert len({bytes(image) for part in (train, test) for image in part.images}) == 20
    assert {bytes(image) for image in other.images} != {bytes(image) for image in test.images}
    with pytest.raises(ValueError, match="split='val' is not one of 'test', 'train'"):
        load_images("unsplit", "val", test_share=0.3)
    with pytest.raises(ValueError, match="test_share=1 must be more than 0 and less than 1"):
        load_images("unsplit", "test", test_share=1)
    with pytest.raises(ValueError, match="test_share=0.05 leaves no image of .*unsplit for 'test'"):
        load_images("unsplit", "test", test_share=0.05)
    put(root, "split/train/ant/0.png")
    with pytest.raises(ValueError, match="test_share=0.3: .*split has splits: train"):
        load_images("split", "test", test_share=0.3)


def test_a_folder_with_the_name_of_a_download_is_not_passed_over(root):
    put(root, "cifar10/ant/0.png", "cifar10/bee/0.png")
    with pytest.raises(ValueError, match="name='cifar10' is a data set to download, and there is"):
        load_images("cifar10", "train")
    assert seen(root / "cifar10", "all") == (("ant", "bee"), [1, 1])


def test_flat_images_with_the_name_of_a_download_are_not_passed_over(root):
    put(root, "oxford_pets/images/cat_1.jpg")
    with pytest.raises(ValueError, match="oxford_pets without train/ and test/; rename it"):
        load_images("oxford_pets", "train")


@pytest.mark.parametrize("name", ["digits", "cifar10"])
def test_what_has_splits_is_not_divided(root, name):
    with pytest.raises(ValueError, match="test_share=0.2: .* has splits: test, train"):
        load_images(name, "test", test_share=0.2)


def test_a_share_is_a_number(root):
    put(root, "mine/cat/0.jpg")
    with pytest.raises(ValueError, match="test_share='0.2' must be more than 0"):
        load_images("mine", "test", test_share="0.2")


def test_classes_that_the_training_lacks_are_named(root, caplog):
    put(root, "mine/train/cat/0.jpg", "mine/train/dog/0.jpg", "mine/test/cat/0.jpg")
    put(root, "mine/test/dogs/0.jpg")
    assert seen("mine", "test") == (("cat", "dog", "dogs"), [1, 0, 1])
    assert "test has classes that" in caplog.text and "train lacks: dogs" in caplog.text


def test_annotations_in_another_encoding_are_named(root):
    put(root, "tiny/val/images/0.jpg")
    (root / "tiny/val/val_annotations.txt").write_bytes(b"0.jpg\tca\xf1on\t0")
    with pytest.raises(ValueError, match="val_annotations.txt is not text in UTF-8"):
        load_images("tiny", "val")


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_a_folder_with_the_name_of_an_embedded_set_is_not_passed_over(root, name):
    put(root, f"{name}/train/mine/0.png")
    with pytest.raises(ValueError, match=f"write 'embedded:{name}' for the one, or the path"):
        load_images(name, "train")
    assert seen(root / name, "train") == (("mine",), [1])
    embedded = load_images(f"embedded:{name}", "test", n=10)
    assert embedded.name == name and embedded.num_classes >= 10


def test_without_a_split_it_is_the_test_one_or_all_of_a_folder_that_has_none(root):
    put(root, "flat/a.png", "train_only/train/cat/a.png")
    put(root, *(f"divided/{split}/cat/{k}.png" for split in ("train", "val") for k in range(2)))
    put(root, *(f"ours/{name}/{k}.png" for name in ("ant", "bee") for k in range(10)))
    for name, split, n in (("flat", "all", 1), ("ours", "all", 20), ("divided", "test", 2)):
        images = load_images(name, None)
        assert (images.split, len(images)) == (split, n)
    assert load_images("ours", None, n=2).split == "all"
    assert load_images("ours", None, test_share=0.5).split == "test"
    assert load_images("digits", None, n=5).split == "test"
    with pytest.raises(ValueError, match="split='test' is not one of 'train'"):
        load_images("train_only", None)
