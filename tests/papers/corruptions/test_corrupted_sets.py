"""Corrupted sets: how images are spread over types, the official files, and each type alike."""

import numpy as np
import pytest

from invlib.data.images import ImageSet
from papers.corruptions import corrupted_sets as corruptions
from papers.corruptions.corrupted_sets import (
    CORRUPTIONS,
    EXTRA,
    SEVERITIES,
    corrupt,
    corrupted_sets,
)
from tests.published_corruptions import pictures

ALL = CORRUPTIONS + EXTRA


def image_set(n=40, name="cifar10", split="test", classes=("cat", "dog", "frog", "horse")):
    labels = np.random.default_rng(0).permutation(np.arange(n) % 4)
    return ImageSet(pictures(n), labels, classes, name, split)


def test_a_set_is_spread_over_the_types_and_paired_over_severities(tmp_path):
    images = image_set()
    sets = corrupted_sets(images, n=33, severities=[0, 2, 5], seed=4, root=tmp_path)
    drawn = images.sample(33, seed=4)
    assert list(sets) == [0, 2, 5]
    for severity, one in sets.items():
        assert (one.source, one.severity, len(one.images)) == ("regenerated", severity, 33)
        assert one.corruption.tolist() == [CORRUPTIONS[k % 15] for k in range(33)]
        np.testing.assert_array_equal(one.images.labels, drawn.labels)
        for k in (0, 16, 32):
            alone = corrupt(drawn.images[k : k + 1], one.corruption[k], severity, seed=4)[0]
            np.testing.assert_array_equal(one.images.images[k], alone)


@pytest.fixture
def official(tmp_path):
    """CIFAR-10-C with eight images: a pixel says which type, severity and image it is of."""
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    labels = np.tile(np.array([3, 0, 1, 2, 2, 1, 0, 3], np.uint8), 5)
    np.save(folder / "labels.npy", labels)
    for kind, name in enumerate(ALL):
        pixels = np.zeros((40, 32, 32, 3), np.uint8)
        pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = kind, np.repeat(SEVERITIES, 8)
        pixels[:, 0, 0, 2] = np.tile(np.arange(8), 5)
        np.save(folder / f"{name}.npy", pixels)
    return folder


def test_official_files_bring_their_own_images_and_labels(official):
    sets = corrupted_sets(image_set(), n=8, corruptions=ALL[12:16], root=official.parent)
    assert list(sets) == list(SEVERITIES)
    for severity, one in sets.items():
        kind, level, image = one.images.images[:, 0, 0].T
        assert one.source == "official" and (level == severity).all()
        np.testing.assert_array_equal(np.array(ALL)[kind], one.corruption)
        assert one.corruption.tolist() == [*ALL[12:16], *ALL[12:16]]
        np.testing.assert_array_equal(one.images.labels, np.array([3, 0, 1, 2, 2, 1, 0, 3])[image])
        assert sorted(image) == list(range(8))
        np.testing.assert_array_equal(image, sets[1].images.images[:, 0, 0, 2])


@pytest.mark.parametrize("change", [{"split": "train"}, {"name": "digits"}, {"name": "cifar100"}])
def test_official_files_stand_for_the_test_split_of_their_data_set_only(official, change):
    one = corrupted_sets(image_set(**change), n=4, severities=[1], root=official.parent)[1]
    assert one.source == "regenerated"


def test_official_files_are_found_under_the_root_of_the_data_sets(official, monkeypatch):
    monkeypatch.setenv("INVLIB_DATA", str(official.parent))
    assert corrupted_sets(image_set(), n=4)[3].source == "official"


def test_an_incomplete_official_folder_is_not_filled_up(official):
    (official / "fog.npy").unlink()
    with pytest.raises(FileNotFoundError, match="fog.npy; complete the folder"):
        corrupted_sets(image_set(), n=4, root=official.parent)
    found = corrupted_sets(image_set(), n=4, corruptions=["snow"], root=official.parent)
    assert found[1].source == "official"


def test_official_files_that_do_not_fit_together(official):
    np.save(official / "snow.npy", np.zeros((35, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match=r"snow.npy has shape \(35, 32, 32, 3\), and labels"):
        corrupted_sets(image_set(), n=4, root=official.parent)
    shuffled = image_set(classes=("dog", "cat", "frog", "horse"))
    with pytest.raises(ValueError, match="numbers classes by the alphabet"):
        corrupted_sets(shuffled, n=4, root=official.parent)
    with pytest.raises(ValueError, match="9 images were asked for, but .*CIFAR-10-C has 8"):
        corrupted_sets(image_set(), n=9, corruptions=["fog"], root=official.parent)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"corruptions": ["fog", "snoww"]}, "did you mean 'snow'"),
        ({"corruptions": []}, "at least one"),
        ({"severities": [1, 7]}, "severity=7"),
        ({"severities": []}, "at least one"),
        ({"n": 41}, "n=41 images were asked for, but cifar10/test has 40"),
    ],
)
def test_what_is_no_set_is_refused_by_name(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        corrupted_sets(image_set(), **{"n": 10, "root": tmp_path} | change)


# --- a batch, a severity, a seed -----------------------------------------------------------------

PLAIN = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
PLAIN |= {"gaussian_blur", "saturate"}  # nothing random about them


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_the_same_in_any_batch(name, monkeypatch):
    images = pictures(7)
    before = images.copy()
    found = corrupt(images, name, 4)
    monkeypatch.setattr(corruptions, "_BLOCK", 2)
    np.testing.assert_array_equal(corrupt(images[[5, 0, 3]], name, 4), found[[5, 0, 3]])
    np.testing.assert_array_equal(images, before)
    assert found.dtype == np.uint8 and not np.array_equal(found, images)
    other = corrupt(images, name, 4, seed=1)
    assert np.array_equal(other[:-1], found[:-1]) == (name in PLAIN)  # black stays black in noise


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [16, 40])
def test_other_sizes(name, size):
    images = pictures(3, size)
    assert corrupt(images, name, 5).shape == images.shape
    assert corrupt(images[:0], name, 5).shape == (0, size, size, 3)


# Not among these: glass blur and motion blur, whose moves matter more than their blur; elastic
# deformation, which trades large moves for small ones; frost, which dims what it covers; water,
# which becomes mud; and saturation, which falls and then rises.
@pytest.mark.parametrize(
    "name",
    [
        *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur"),
        *("gaussian_blur", "zoom_blur", "snow", "fog", "brightness", "contrast", "pixelate"),
        "jpeg_compression",
    ],
)
def test_change_grows_with_severity(name):
    images = pictures(30)
    change = [abs(corrupt(images, name, s) - images.astype(float)).mean() for s in range(6)]
    assert change[0] == 0 and (np.diff(change) > 0).all()


def test_severity_0_is_the_images():
    images = pictures(3)
    assert corrupt(images, "fog", 0) is images


@pytest.mark.parametrize(
    "change,error,message",
    [
        ({"corruption": "gausian_noise"}, ValueError, "did you mean 'gaussian_noise'"),
        ({"severity": 6}, ValueError, "severity=6 is not an integer from 0 to 5"),
        ({"severity": -1}, ValueError, "severity=-1"),
        ({"severity": 2.0}, ValueError, "severity=2.0"),
        ({"severity": True}, ValueError, "severity=True"),
        ({"images": np.zeros((1, 32, 32, 3))}, TypeError, "float64, not uint8"),
        ({"images": np.zeros((1, 15, 15, 3), np.uint8)}, ValueError, r"\(1, 15, 15, 3\), not"),
        ({"images": np.zeros((1, 32, 30, 3), np.uint8)}, ValueError, r"\(1, 32, 30, 3\), not"),
        ({"images": np.zeros((32, 32, 3), np.uint8)}, ValueError, r"\(32, 32, 3\), not"),
    ],
)
def test_what_cannot_be_corrupted_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        corrupt(**{"images": pictures(2), "corruption": "fog", "severity": 1} | change)
