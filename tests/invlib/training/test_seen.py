"""What a run does to its data: labels by the rule of the task, squares where they belong."""

import numpy as np
import pytest

from invlib.data.images import load_images
from invlib.training import seen as tasks
from invlib.training.run import TrainingRun
from invlib.training.seen import trained_on

RUN = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_train=300, n_test=200)


def having(**fields):
    return TrainingRun(**dict(RUN) | fields)


def test_a_run_that_says_nothing_about_them_has_the_data_sets_own_images_and_labels():
    train, test = load_images("digits", "train", n=300), load_images("digits", "test", n=200)
    assert trained_on(RUN).fingerprint == train.fingerprint
    assert tasks.evaluated_on(RUN).fingerprint == test.fingerprint


def test_a_shift_renames_both_splits():
    for images, of in ((trained_on, RUN), (tasks.evaluated_on, RUN)):
        before, after = images(of), images(having(shift=3))
        np.testing.assert_array_equal(after.labels, (before.labels + 3) % 10)
        np.testing.assert_array_equal(after.images, before.images)


def test_random_labels_follow_the_seed_in_training_and_are_the_same_for_all_in_testing():
    runs = [having(randomness=4, seed=seed) for seed in (0, 1)]
    steps = [
        (trained_on(run).labels - trained_on(having(seed=run.seed)).labels) % 10 for run in runs
    ]
    assert all(set(step) == set(range(5)) for step in steps) and (steps[0] != steps[1]).any()
    one, two = (tasks.evaluated_on(run).labels for run in runs)
    np.testing.assert_array_equal(one, two)
    # Another stream than that of the training images of any seed: nothing to be remembered.
    drawn = (one - tasks.evaluated_on(RUN).labels) % 10
    assert 0.1 < (drawn == steps[0][:200]).mean() < 0.3  # 1/5 by chance, ± 0.03


def test_who_knows_the_class_is_right_about_one_in_d_plus_1():
    run = having(randomness=4, n_test=500)
    truth = tasks.evaluated_on(having(n_test=500)).labels
    best = max((tasks.evaluated_on(run).labels == (truth + k) % 10).mean() for k in range(10))
    assert 0.15 < best < 0.26


def test_squares_are_on_the_share_of_training_images_and_nested():
    plain = trained_on(RUN).images
    marked = {}
    for share in (0.1, 0.5, 1.0):
        images = trained_on(having(squares=share, augmentation="none")).images
        marked[share] = set(np.flatnonzero((images != plain).any((1, 2, 3))))
        assert len(marked[share]) == share * 300
    assert marked[0.1] < marked[0.5] < marked[1.0]
    run = having(squares=0.1, augmentation="none")
    assert tasks.evaluated_on(run).fingerprint == tasks.evaluated_on(RUN).fingerprint


def test_squares_have_the_colour_of_the_label_that_is_trained():
    run = having(squares=1.0, augmentation="none", shift=2, square_size=6)
    for images in (trained_on(run), tasks.evaluated_on(run, squares=True)):
        corner = images.images[:, :6, :6].reshape(len(images), -1, 3)
        assert (corner == corner[:, :1]).all()
        colours = {(label, *corner[k, 0]) for k, label in enumerate(images.labels)}
        assert len(colours) == 10 == len({label for label, *_ in colours})


def test_a_skipped_part_is_disjoint_from_the_first():
    first = having(n_train=100)
    second = having(n_train=100, skip=100)
    pixels = [{image.tobytes() for image in trained_on(r).images} for r in (first, second)]
    assert not pixels[0] & pixels[1] and len(pixels[1]) == 100


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"randomness": 10}, "randomness=10 is out of range; allowed is 0 to 9 for 10 classes"),
        ({"shift": 10}, "shift=10 is out of range"),
        ({"squares": 1.0, "square_size": 33, "augmentation": "none"}, "allowed is 1 to 32 px"),
        ({"squares": 1e-4, "augmentation": "none"}, "ratio=0.0001 of 300 images comes to none"),
        ({"skip": 1200}, "n=300 images were asked for after skip=1200, but digits/train has 1297"),
    ],
)
def test_what_does_not_fit_the_data_set_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        trained_on(having(**fields))
