"""`ImageSet`, its images resized and drawn, and two embedded data sets."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from PIL import Image
from torchvision.transforms import InterpolationMode

from invlib.data.images import ImageSet, load_images, resize


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def image_set(n=6, height=8, width=8, classes=3):
    images = np.random.default_rng(0).integers(0, 256, (n, height, width, 3), np.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(images, np.arange(n) % classes, names, "mine", "test")


# --- ImageSet ------------------------------------------------------------------------------------


def test_subset_takes_indices_and_masks():
    images = image_set()
    picked = images.subset([5, 0])
    np.testing.assert_array_equal(picked.images, images.images[[5, 0]])
    np.testing.assert_array_equal(picked.labels, [2, 0])
    assert picked.class_names == images.class_names and picked.num_classes == 3
    assert len(images.subset(images.labels == 1)) == 2


@pytest.mark.parametrize(
    "change,error,message",
    [
        ({"images": np.zeros((6, 8, 8, 3))}, TypeError, "images are float64, not uint8"),
        ({"images": np.zeros((6, 8, 8), np.uint8)}, ValueError, r"shape \(6, 8, 8\), not \(N, H"),
        ({"images": np.zeros((6, 3, 8, 8), np.uint8)}, ValueError, r"shape \(6, 3, 8, 8\)"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, ValueError, r"shape \(0, 8, 8, 3\)"),
        ({"labels": np.zeros(6)}, TypeError, "labels are float64, not integers"),
        ({"labels": np.zeros(5, int)}, ValueError, r"labels have shape \(5,\), but .* 6 images"),
        ({"labels": np.array([0, 0, 0, 0, 0, 3])}, ValueError, "from 0 to 3, but .* 3 classes"),
        ({"labels": np.array([0, 0, 0, 0, 0, -1])}, ValueError, "from -1 to 0"),
    ],
)
def test_what_is_no_image_set_is_refused_by_name(change, error, message):
    good = image_set()
    fields = {"images": good.images, "labels": good.labels, **change}
    with pytest.raises(error, match=f"mine/test: .*{message}"):
        ImageSet(**fields, class_names=good.class_names, name="mine", split="test")


def test_fingerprint_changes_with_anything_in_it(monkeypatch):
    images = image_set(n=40)
    same = image_set(n=40)
    assert images.fingerprint == same.fingerprint
    other_pixel = images.images.copy()
    other_pixel[7, 3, 3, 0] ^= 1
    other_label = images.labels.copy()
    other_label[7] = (other_label[7] + 1) % 3
    names = ("a", "b", "c")
    changed = [
        images.subset(np.arange(39)),
        images.subset(np.arange(40)[::-1]),
        ImageSet(other_pixel, images.labels, images.class_names, "mine", "test"),
        ImageSet(images.images, other_label, images.class_names, "mine", "test"),
        ImageSet(images.images, images.labels, names, "mine", "test"),
    ]
    prints = [images.fingerprint, *(other.fingerprint for other in changed)]
    assert len(set(prints)) == len(prints)

    # beyond the limit it reads evenly spaced images: still a hash, of less
    monkeypatch.setattr("invlib.data.images._HASHED", images.images.nbytes // 2)
    assert image_set(n=40).fingerprint not in prints


def test_tensor_without_a_size_is_the_pixels_themselves():
    images = image_set(height=6, width=9)
    x = images.tensor()
    assert x.shape == (6, 3, 6, 9) and x.dtype == torch.float32
    torch.testing.assert_close(
        x, torch.from_numpy(images.images / np.float32(255)).permute(0, 3, 1, 2)
    )


@pytest.mark.parametrize("size", [8, 16, 20, 48])
def test_tensor_resizes_as_pillow_does(size):
    """Pillow's filter is the same, but rounds to whole grey levels (and clips) in between."""
    grey = 80 + image_set(n=1, height=20, width=20).images // 3
    images = ImageSet(grey, np.zeros(1, int), ("a",), "mine", "test")
    expected = Image.fromarray(grey[0]).resize((size, size), Image.Resampling.BICUBIC)
    ours = images.tensor(size)[0].permute(1, 2, 0).numpy() * 255
    # half a level after the first pass, weighted by at most 1.25, and half after the second
    np.testing.assert_allclose(ours, expected, atol=1.13)


def test_tensor_is_clamped_cropped_to_the_centre_and_independent_of_its_blocks(monkeypatch):
    images = image_set(n=7, height=8, width=14)
    x = images.tensor(24)
    assert x.min() == 0 and x.max() == 1  # noise enlarged by bicubic filters overshoots
    middle = ImageSet(images.images[:, :, 3:11], images.labels, images.class_names, "m", "test")
    assert torch.equal(x, middle.tensor(24))
    assert torch.equal(x[5:6], images.subset([5]).tensor(24))
    monkeypatch.setattr("invlib.data.images._BLOCK", 3)
    assert torch.equal(x, images.tensor(24))


# --- resizing ------------------------------------------------------------------------------------


def test_resize_is_antialiased_bicubic_in_range():
    x = torch.tensor(image_set(2, 64, 64).images)
    want = tvf.resize(
        x.permute(0, 3, 1, 2) / 255, [24, 24], InterpolationMode.BICUBIC, antialias=True
    )
    torch.testing.assert_close(resize(x, 24), want.clamp(0, 1))
    edge = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    edge[:, :, 4:] = 255
    big = resize(edge, 32)
    assert big.min() == 0 and big.max() == 1


@pytest.mark.parametrize("shape", [(32, 32), (20, 32), (48, 40)])
def test_resize_gives_what_an_image_set_gives(shape):
    images = image_set(3, *shape)
    torch.testing.assert_close(resize(torch.tensor(images.images), 32), images.tensor(32))


# --- drawing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_a_skip_leaves_out_what_the_same_seed_draws_first(name):
    def pixels(**draw):
        found = load_images(name, "train", seed=4, **draw)
        assert len(found) == len(found.labels) == 30
        return {image.tobytes() for image in found.images}

    first, second, both = (
        pixels(n=30),
        pixels(n=30, skip=30),
        load_images(name, "train", n=60, seed=4),
    )
    assert len(first) == len(second) == 30 and not first & second
    assert first | second == {image.tobytes() for image in both.images}


@pytest.mark.parametrize(("skip", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_skip_that_is_none_is_refused(skip, error):
    for name in ("digits", "shapes"):
        with pytest.raises(error, match=f"skip={skip!r}"):
            load_images(name, "train", skip=skip)


def test_a_skip_that_leaves_too_few_says_how_many_there_are():
    with pytest.raises(ValueError, match="n=1 images .* after skip=500, but digits/test has 500"):
        load_images("digits", "test", n=1, skip=500)
    with pytest.raises(ValueError, match="skip=500, but digits/test has 500"):
        load_images("digits", "test", skip=500)


@pytest.mark.parametrize("name", ["digits", "shapes"])
@pytest.mark.parametrize(
    "n,error",
    [(0, ValueError), (-3, ValueError), (2.5, TypeError), ("9", TypeError), (True, TypeError)],
)
def test_a_number_of_images_that_is_none_is_refused(name, n, error):
    with pytest.raises(error, match=f"n={n!r}"):
        load_images(name, "train", n=n)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), ("a", TypeError)])
def test_a_seed_that_is_none_is_refused(seed, error):
    for name in ("digits", "shapes"):
        with pytest.raises(error, match=f"seed={seed!r}"):
            load_images(name, "test", n=4, seed=seed)
    with pytest.raises(error, match=f"seed={seed!r}"):
        load_images("digits", "test").sample(4, seed)


def test_too_many_images_asked_for_says_how_many_there_are():
    with pytest.raises(ValueError, match="n=501 images were asked for, but digits/test has 500"):
        load_images("digits", "test", n=501)


# --- embedded ------------------------------------------------------------------------------------


def test_shapes_have_their_sizes_and_n_takes_the_first():
    test = load_images("shapes", "test")
    assert test.images.shape == (2000, 32, 32, 3) and test.num_classes >= 20
    few = load_images("shapes", "test", n=30)
    np.testing.assert_array_equal(few.images, test.images[:30])
    np.testing.assert_array_equal(few.labels, test.labels[:30])
    other = load_images("shapes", "test", n=30, seed=1)
    assert few.fingerprint != other.fingerprint


def test_shapes_are_drawn_once_and_then_read(monkeypatch):
    first = load_images("shapes", "train", n=25, seed=3)
    monkeypatch.setattr("invlib.data.embedded.shapes.draw_shapes", pytest.fail)
    again = load_images("shapes", "train", n=25, seed=3)
    assert isinstance(again.images, np.memmap) and again.fingerprint == first.fingerprint


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_a_wrong_split_names_the_nearest(name):
    with pytest.raises(ValueError, match="split='tests' is not one of .*did you mean 'test'"):
        load_images(name, "tests")


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-3, ValueError), (16.0, TypeError), ("16", TypeError)]
)
def test_a_size_that_no_image_has_is_refused_by_name(size, error):
    with pytest.raises(error, match=f"img_size={size!r}"):
        load_images("digits", "test", n=4).tensor(size)
