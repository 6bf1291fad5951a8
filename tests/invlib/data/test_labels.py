"""Partially random and shifted labels: the equations, their marginals, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invlib.data import labels as module
from invlib.data.images import ImageSet


def labelled(labels, classes):
    """One grey pixel for each label."""
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, names, "mine", "train")


def partially_random(labels, classes, **options):
    return module.partially_random(labelled(labels, classes), **options).labels


def shifted(labels, classes, *, shift):
    return module.shifted(labelled(labels, classes), shift=shift).labels


@st.composite
def classified(draw):
    """Labels, the number of classes, and a number that is valid as a step."""
    classes = draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=50))
    return np.array(labels, np.int64), classes, draw(st.integers(0, classes - 1))


@given(classified(), st.integers(0, 99))
def test_a_label_moves_by_at_most_d_around_the_circle(given_labels, seed):
    labels, classes, d = given_labels
    found = partially_random(labels, classes, randomness=d, seed=seed)
    assert found.dtype == np.int64 and found.shape == labels.shape
    assert (((found - labels) % classes) <= d).all()
    np.testing.assert_array_equal(found, partially_random(labels, classes, randomness=d, seed=seed))
    np.testing.assert_array_equal(partially_random(labels, classes, randomness=0), labels)


@given(classified(), st.integers(0, 99))
def test_more_randomness_moves_each_image_at_least_as_far(given_labels, seed):
    labels, classes, _ = given_labels
    steps = [
        (partially_random(labels, classes, randomness=d, seed=seed) - labels) % classes
        for d in range(classes)
    ]
    assert all((less <= more).all() for less, more in zip(steps, steps[1:], strict=False))


@pytest.mark.parametrize("d", [0, 1, 4, 9])
def test_every_class_is_uniform_over_d_plus_1_labels(d):
    n = 20_000  # an image count whose share has a standard error of 0.004 at most
    for y in (0, 7):
        found = partially_random(np.full(n, y), 10, randomness=d, seed=y)
        shares = np.bincount(found, minlength=10) / n
        expected = np.zeros(10)
        expected[(y + np.arange(d + 1)) % 10] = 1 / (d + 1)
        np.testing.assert_allclose(shares, expected, atol=0.015)


def test_full_randomness_says_nothing_about_the_image():
    labels = np.repeat(np.arange(10), 2000)
    found = partially_random(labels, 10, randomness=9)
    table = np.histogram2d(labels, found, bins=10)[0]  # expected 200 in each cell
    chi2 = ((table - 200) ** 2 / 200).sum()
    assert chi2 < 150  # 90 on average with 90 degrees of freedom, standard deviation 13
    half = partially_random(labels, 10, randomness=8)
    table = np.histogram2d(labels, half, bins=10)[0]
    assert ((table - 200) ** 2 / 200).sum() > 1000  # one label less, and it is not independent


def test_seeds_draw_differently_and_global_randomness_is_left_alone():
    labels = np.zeros(100, int)
    before = np.random.get_state()[1].copy()
    one, two = (partially_random(labels, 10, randomness=9, seed=s) for s in (0, 1))
    assert (one != two).mean() > 0.7
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    stream = np.random.SeedSequence(0, spawn_key=(1,))
    assert (partially_random(labels, 10, randomness=9, seed=stream) != one).any()


@given(classified())
def test_a_shift_is_a_renaming_that_the_opposite_shift_undoes(given_labels):
    labels, classes, s = given_labels
    found = shifted(labels, classes, shift=s)
    np.testing.assert_array_equal(shifted(found, classes, shift=-s % classes), labels)
    assert (found == labels).all() if s == 0 else (found != labels).all()
    np.testing.assert_array_equal(found, [(y + s) % classes for y in labels])


def test_the_labels_given_are_left_as_they_were():
    labels = np.array([0, 1, 2])
    shifted(labels, 3, shift=2)
    partially_random(labels, 3, randomness=2)
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [-1, 10, 11])
def test_a_step_out_of_range_is_named_with_what_is_allowed(value):
    said = rf"={value} is out of range; allowed is 0 to 9 for 10 classes"
    with pytest.raises(ValueError, match="randomness" + said):
        partially_random(np.array([0]), 10, randomness=value)
    with pytest.raises(ValueError, match="shift" + said):
        shifted(np.array([0]), 10, shift=value)


@pytest.mark.parametrize(
    ("labels", "classes", "step", "error", "said"),
    [
        (np.array([0.0]), 10, 1, TypeError, "labels are float64"),
        (np.array([0, 10]), 10, 1, ValueError, "labels run from 0 to 10, .* 10 classes"),
        (np.array([-1, 3]), 10, 1, ValueError, "labels run from -1 to 3"),
        (np.zeros((2, 2), int), 10, 1, ValueError, r"labels have shape \(2, 2\)"),
        (np.array([0]), 0, 0, ValueError, "there are 0 classes"),
        (np.array([0]), 10, 1.0, TypeError, "=1.0 is not an integer"),
        (np.array([0]), 10, True, TypeError, "=True is not an integer"),
    ],
)
def test_what_are_no_labels_is_refused(labels, classes, step, error, said):
    with pytest.raises(error, match=said):
        partially_random(labels, classes, randomness=step)
    with pytest.raises(error, match=said):
        shifted(labels, classes, shift=step)
