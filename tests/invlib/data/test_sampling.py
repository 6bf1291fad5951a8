"""Draws of images: even over the classes, nested, and without overlap."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from invlib.data.sampling import stratified

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@given(labels=LABELS, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_draw_is_without_replacement_and_as_even_as_the_classes_allow(labels, share, seed):
    n = max(1, round(share * len(labels)))
    indices = stratified(labels, n, seed)
    assert len(set(indices.tolist())) == n and indices.min() >= 0 and indices.max() < len(labels)
    drawn, there = np.bincount(labels[indices], minlength=5), np.bincount(labels, minlength=5)
    for k in range(5):  # a class that is more than one short has no image left
        assert drawn[k] >= drawn.max() - 1 or drawn[k] == there[k]


@given(labels=LABELS, seed=st.integers(0, 99))
def test_a_draw_is_a_function_of_the_seed_and_holds_the_smaller_draws(labels, seed):
    np.testing.assert_array_equal(
        stratified(labels, len(labels), seed), stratified(labels, len(labels), seed)
    )
    draws = [set(stratified(labels, n, seed).tolist()) for n in range(1, len(labels) + 1)]
    assert all(small < large for small, large in zip(draws, draws[1:], strict=False))


@given(labels=LABELS, cut=st.integers(0, 40), seed=st.integers(0, 99))
def test_what_is_skipped_and_what_is_drawn_after_are_the_whole_without_overlap(labels, cut, seed):
    cut = min(cut, len(labels) - 1)
    rest = stratified(labels, None, seed, skip=cut)
    first = stratified(labels, cut, seed) if cut else np.array([], int)
    assert sorted([*first, *rest]) == list(range(len(labels)))
    if len(labels) - cut > 1:  # a part of the rest, whatever its size
        assert set(stratified(labels, 1, seed, skip=cut)) <= set(rest)


def test_another_seed_draws_other_images_in_random_order():
    labels = np.repeat(np.arange(10), 50)
    first, second = (stratified(labels, 100, seed) for seed in (0, 1))
    assert len(set(first) & set(second)) < 50
    assert len(set(labels[first[:10]])) > 3 and not np.array_equal(first, np.sort(first))
