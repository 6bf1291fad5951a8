"""Inversion: the literal recipe, independence from how the work is cut up, what is refused."""

import inspect
import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from invlib.inversion.invert import (
    _driven,
    check_gradient,
    check_recipe,
    invert,
    start_images,
)
from invlib.inversion.rules import OPTIMIZERS
from invlib.models.hooked import wrap_model
from invlib.models.loading import load_model
from invlib.names import STARTS


@pytest.fixture(scope="module")
def model():
    return load_model("vit_pico_patch8_32", seed=1)


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def literal_ngd(model, images, layer, iterations, step):
    """The reference recipe as its authors wrote it: one layer, the whole network, no tricks."""
    best_x, best, history = [], [], []
    starts = start_images(images, "noise", 0).to(images)
    for i in range(len(images)):
        target = model.features(images[i : i + 1])[layer].flatten().detach()
        x, kept, lowest, losses = starts[i : i + 1].clone(), None, float("inf"), []
        for t in range(iterations + 1):
            x = x.detach().requires_grad_()
            everything = model.features(x)
            loss = (everything[layer].flatten() - target).norm() / target.norm()
            if loss.item() < lowest:
                kept, lowest = x.detach().clone(), loss.item()
            losses.append(loss.item())
            if t < iterations:
                (g,) = torch.autograd.grad(loss, x)
                x = torch.clamp(x.detach() - step * g / (g.norm() + 1e-10), 0, 1)
        best_x.append(kept[0])
        best.append(lowest)
        history.append(losses)
    return torch.stack(best_x), torch.tensor(best), torch.tensor(history).mean(0)


def test_ngd_is_the_literal_recipe_at_every_layer(model, images):
    model, images = load_model("vit_pico_patch8_32", seed=1).double(), images.double()
    found = invert(model, images[:3], iterations=12, optimizer="ngd", step=0.5)
    for row, layer in enumerate(found.layers):
        x, best, history = literal_ngd(model, images[:3], layer, 12, 0.5)
        torch.testing.assert_close(found.images[row], x, rtol=0, atol=1e-9)
        torch.testing.assert_close(found.best[row], best.double(), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(found.loss[row], history.double(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_the_result_does_not_depend_on_how_the_work_is_cut(model, images, optimizer):
    def run(**how):
        return invert(model, images, iterations=6, optimizer=optimizer, **how)

    whole = run(chunk=5)
    for chunk in (1, 2, 3):
        cut = run(chunk=chunk)
        assert torch.equal(cut.images, whole.images) and torch.equal(cut.best, whole.best)
    some = run(layers=[3, 1])
    assert some.layers == (3, 1)
    assert torch.equal(some.images, whole.images[[3, 1]])
    torch.testing.assert_close(some.loss, whole.loss[[3, 1]])


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_layer_gets_closer_and_keeps_its_best(model, images, optimizer):
    found = invert(model, images, iterations=25, optimizer=optimizer)
    assert (found.best.mean(1) < 0.8 * found.loss[:, 0]).all()
    assert (found.best.mean(1) <= found.loss.min(1).values + 1e-6).all()
    assert found.images.min() >= 0 and found.images.max() <= 1
    with torch.no_grad():
        for k, x, best in zip(found.layers, found.images, found.best, strict=True):
            a, b = model.prefix(images, k).flatten(1), model.prefix(x, k).flatten(1)
            torch.testing.assert_close((a - b).norm(dim=1) / a.norm(dim=1), best)


def test_the_best_iterate_is_kept_and_not_the_last(model, images):
    """With steps far too long the last iterate is nowhere near the best."""
    found = invert(model, images, iterations=15, optimizer="ngd", step=8.0, snapshots=(4, 15))
    assert (found.best[1].mean(1) < 0.95 * found.loss[:, -1]).all()
    assert (found.best[1] <= found.best[0]).all()
    for row, layer in enumerate(found.layers):
        x, best, _ = literal_ngd(model, images, layer, 15, 8.0)
        torch.testing.assert_close(found.best[1, row], best, rtol=1e-3, atol=1e-4)
        with torch.no_grad():
            a, b = (model.prefix(y, layer).flatten(1) for y in (images, found.images[1, row]))
        torch.testing.assert_close((a - b).norm(dim=1) / a.norm(dim=1), found.best[1, row])


@pytest.mark.parametrize(
    "words", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory"]
)
def test_too_little_memory_names_the_chunk(model, images, words, monkeypatch):
    def exhausted(*arguments):
        raise RuntimeError(words)

    monkeypatch.setattr("invlib.inversion.invert._invert_chunk", exhausted)
    said = f"chunk=4 images at 2 layers do not fit into memory: pass a smaller chunk ({words})"
    with pytest.raises(MemoryError, match=f"^{re.escape(said)}$"):
        invert(model, images, iterations=1, layers=[0, 3], chunk=4)
    words = "shapes cannot be multiplied"
    with pytest.raises(RuntimeError, match=words):
        invert(model, images, iterations=1)


def test_the_model_is_left_as_it_was(images):
    model = load_model("vit_pico_patch8_32").train()
    frozen = next(model.parameters()).requires_grad_(False)
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    invert(model, images, iterations=2)
    assert model.training and all(m.training for m in model.modules())
    assert not frozen.requires_grad
    assert sum(not p.requires_grad for p in model.parameters()) == 1
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.net.state_dict().items())


@pytest.mark.parametrize("init", STARTS)
def test_starts(images, init):
    start = start_images(images, init, seed=4)
    assert start.shape == images.shape and 0 <= start.min() and start.max() <= 1
    assert torch.equal(start, start_images(images, init, seed=4))
    alike = torch.equal(start[0], start[1])
    assert alike == (init in ("same-noise", "white", "black"))
    if init == "images":
        assert not any(torch.equal(a, b) for a, b in zip(start, images, strict=True))
    if init == "noise":
        assert not torch.equal(start, start_images(images, init, seed=5))
        # all of it can move: a start outside [0, 1] would have two thirds of its pixels stuck
        assert ((start == 0) | (start == 1)).float().mean() > 0.5


def test_clamped_pixels_do_move(model, images):
    start = start_images(images, "noise", 0)
    found = invert(model, images, iterations=10, optimizer="adam", layers=[3])
    stuck = (found.images[0] == start)[(start == 0) | (start == 1)].float().mean()
    assert stuck < 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(images=torch.rand(2, 3, 16, 16)), r"takes a tensor \(N, \(3, 32, 32\)\)"),
        (dict(images=torch.rand(2, 3, 32, 32) * 2), r"expected \[0, 1\]"),
        (dict(images=torch.full((1, 3, 32, 32), torch.nan)), r"expected \[0, 1\]"),
        (dict(images=torch.zeros(2, 3, 32, 32, dtype=torch.uint8)), "expected floats"),
        (dict(images=torch.zeros(0, 3, 32, 32)), "empty batch"),
        (dict(images=[1, 2]), "images are list"),
        (dict(optimizer="addam"), "did you mean 'adam'"),
        (dict(init="nois"), "did you mean 'noise'"),
        (dict(iterations=0), "iterations=0"),
        (dict(step=-1.0), "step=-1.0"),
        (dict(step="0.1"), "step='0.1' must be a positive number"),
        (dict(tolerance="a"), "tolerance='a' must be a positive number"),
        (dict(layers="all"), "layer='all' is not one of 'block 1'"),
        (dict(chunk=0), "chunk=0"),
        (dict(layers=[9]), "layers=\\[9\\]"),
        (dict(images=torch.rand(1, 3, 32, 32), init="images"), "at least 2 are needed"),
    ],
)
def test_bad_input_is_named(model, images, change, message):
    arguments = dict(images=images, iterations=1) | change
    with pytest.raises(ValueError, match=message):
        invert(model, arguments.pop("images"), **arguments)


PICO = "vit_pico_patch8_32"


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (dict(images=torch.rand(2, 3, 16, 16)), ValueError,
         f"images are (2, 3, 16, 16); {PICO} takes a tensor (N, (3, 32, 32))"),
        (dict(images=[1, 2]), ValueError,
         f"images are list; {PICO} takes a tensor (N, (3, 32, 32))"),
        (dict(images=torch.zeros(2, 3, 32, 32, dtype=torch.uint8)), ValueError,
         "images are torch.uint8; expected floats in [0, 1] (uint8 / 255)"),
        (dict(images=torch.zeros(0, 3, 32, 32)), ValueError,
         "images is an empty batch; at least one image is needed"),
        (dict(images=torch.full((1, 3, 32, 32), 2.0)), ValueError,
         "images range over [2, 2]; expected [0, 1] (normalisation is the model's own)"),
        (dict(images=torch.rand(1, 3, 32, 32), init="images"), ValueError,
         "init='images' starts at another image: at least 2 are needed"),
        (dict(against=0.3), TypeError,
         "against=0.3 must be a model and a weight: (model, 0.3)"),
        (dict(snapshots=(5, 3)), ValueError,
         "snapshots=(5, 3) must be increasing whole numbers from 1 to iterations=10"),
        (dict(snapshots=(10, 11)), ValueError,
         "snapshots=(10, 11) must be increasing whole numbers from 1 to iterations=10"),
        (dict(tolerance=float("inf")), ValueError, "tolerance=inf must be a positive number"),
        (dict(step=0), ValueError, "step=0 must be a positive number"),
        (dict(iterations=0), ValueError, "iterations=0 must be a whole number of at least 1"),
        (dict(chunk=0), ValueError, "chunk=0 must be a whole number of at least 1"),
        (dict(seed="a"), TypeError, "seed='a' is not a whole number"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong(model, images, change, kind, said):
    arguments = dict(images=images, iterations=10) | change
    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        invert(model, arguments.pop("images"), **arguments)


@pytest.mark.parametrize("weight", [-1, 1, "0.3", torch.nan])
def test_a_weight_lies_between_its_bounds(model, weight):
    recipe = dict(iterations=1, optimizer="ngd", step=None, init="noise", chunk=None)
    said = f"against={weight!r}: its weight must lie between -1 and 1"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_recipe(**recipe, weight=weight)
    for fine in (-0.999, 0, 0.999):
        check_recipe(**recipe, weight=fine)


@pytest.mark.parametrize("other", [torch.nn.Linear(1, 1), "vit_pico_patch8_32"])
def test_what_is_no_model_of_ours_is_told_the_way(other, images):
    with pytest.raises(TypeError, match=r"model is of type .*load_model\(.*wrap_model\("):
        invert(other, images, iterations=1)


def test_a_layer_that_is_not_finite_is_named(images):
    model = load_model("vit_pico_patch8_32")
    model.net.blocks[1].mlp.fc2.bias.data[0] = torch.inf
    said = (
        f"layer 2 (block 2) of {PICO} has a representation that is zero or not finite for some "
        "image; it cannot be inverted"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        invert(model, images, iterations=1)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_rule_computes_outside_of_autocast(model, images, optimizer):
    asked = []

    def rule(x, iterations, **options):
        update = OPTIMIZERS[optimizer](x, iterations, **options)

        def noticing(grad):
            asked.append((torch.is_autocast_enabled("cpu"), grad.dtype))
            update(grad)

        return noticing

    with torch.autocast("cpu", torch.bfloat16):
        found = invert(model, images, iterations=3, optimizer=rule)
    assert asked == 3 * [(False, torch.float32)]
    assert (found.best.mean(1) < found.loss[:, 0]).all()


# --- snapshots and tolerance ----------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["ngd", "anytime"])
def test_a_snapshot_is_what_a_run_of_so_many_steps_gives(model, images, optimizer):
    whole = invert(model, images, iterations=12, optimizer=optimizer, snapshots=(1, 5, 12))
    assert whole.snapshots == (1, 5, 12) and whole.images.shape[:3] == (3, 4, 5)
    for i, steps in enumerate(whole.snapshots):
        short = invert(model, images, iterations=steps, optimizer=optimizer)
        assert torch.equal(whole.images[i], short.images)
        assert torch.equal(whole.best[i], short.best)
        assert torch.equal(whole.loss[:, : steps + 1], short.loss)


def test_snapshots_do_not_move_the_run(model, images):
    """Also of a rule with a schedule over all steps, whose snapshots are no runs of their own."""
    plain = invert(model, images, iterations=10, optimizer="fast")
    seen = invert(model, images, iterations=10, optimizer="fast", snapshots=[3, 10], layers=[2, 0])
    assert torch.equal(seen.images[1], plain.images[[2, 0]])
    assert (seen.best[0] >= seen.best[1]).all() and (seen.best[0] > seen.best[1]).any()


def test_images_leave_when_they_have_arrived(model, images):
    options = dict(iterations=40, optimizer="fast")
    plain = invert(model, images, **options)
    tolerance = float(plain.best.flatten().sort().values[3])  # few rows come so far
    found = invert(model, images, tolerance=tolerance, snapshots=(10, 40), **options)
    arrived = found.best[1] <= tolerance
    assert torch.equal(arrived, plain.best <= tolerance) and 0 < arrived.sum() < arrived.numel()
    # the others go on as if nobody had left
    assert torch.equal(found.images[1][~arrived], plain.images[~arrived])
    # those that left are where they first came so near
    assert (found.best[1][arrived] >= plain.best[arrived]).all()
    again = invert(model, images, tolerance=tolerance, **options)
    assert torch.equal(again.images, found.images[1]) and torch.equal(again.loss, found.loss)


def test_what_has_arrived_costs_nothing(model, images, monkeypatch):
    rows = []
    stage = model.stages[0]
    counting = (lambda x: rows.append(len(x)) or stage(x), *model.stages[1:])
    monkeypatch.setattr(model, "stages", counting)
    options = dict(iterations=30, optimizer="fast", chunk=5)
    invert(model, images, tolerance=0.3, **options)
    assert max(rows) == 20 and rows[-1] < 20  # four layers of five images, then fewer
    rows.clear()
    invert(model, images, tolerance=100.0, **options)
    assert rows == [5, 20]  # the targets, and the first look at all four layers


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_tolerance_and_snapshots_do_not_depend_on_the_chunk(model, images, chunk):
    options = dict(iterations=15, optimizer="fast", tolerance=0.6, snapshots=(5, 15))
    whole = invert(model, images, chunk=5, **options)
    split = invert(model, images, chunk=chunk, **options)
    assert torch.equal(whole.images, split.images) and torch.equal(whole.best, split.best)
    torch.testing.assert_close(whole.loss, split.loss)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(snapshots=()), r"snapshots=\(\) must be increasing whole numbers from 1 to"),
        (dict(snapshots=(5, 3)), r"snapshots=\(5, 3\) must be increasing"),
        (dict(snapshots=(3, 3)), "must be increasing"),
        (dict(snapshots=(0, 3)), "from 1 to iterations=10"),
        (dict(snapshots=(3, 11)), r"snapshots=\(3, 11\) .* from 1 to iterations=10"),
        (dict(tolerance=0), "tolerance=0 must be a positive number"),
        (dict(tolerance=float("nan")), "tolerance=nan must be a positive number"),
    ],
)
def test_snapshots_and_tolerances_of_no_use_are_refused(model, images, wrong, said):
    with pytest.raises(ValueError, match=said):
        invert(model, images, iterations=10, **wrong)


# --- controversial images -------------------------------------------------------------------------


def test_one_step_against_a_second_model_is_the_formula(model, images):
    foe, k, w = load_model("vit_pico_patch8_32", seed=2), 2, 0.4
    x = start_images(images, "noise", 0)

    def gradient(one):
        leaf = x.clone().requires_grad_()
        target, seen = (one.features(i)[k].flatten(1) for i in (images, leaf))
        loss = ((seen - target.detach()).norm(dim=1) / target.detach().norm(dim=1)).sum()
        return torch.autograd.grad(loss, leaf)[0].flatten(1)

    g, h = gradient(model), gradient(foe)
    g = g - w * g.norm(dim=1, keepdim=True) * h / h.norm(dim=1, keepdim=True)
    expected = (x - 0.5 * (g / g.norm(dim=1, keepdim=True)).view_as(x)).clamp(0, 1)
    seen = []

    def watched(x, iterations, basis=None):
        update = OPTIMIZERS["ngd"](x, iterations)
        return lambda grad: (update(grad), seen.append(x.clone()))

    invert(model, images, layers=[k], iterations=1, optimizer=watched, against=(foe, w))
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("iterations", "tolerance"), [(10, None), (60, 0.5)])
def test_the_second_model_is_driven_away_or_drawn_near(model, images, iterations, tolerance):
    foe = load_model("vit_pico_patch8_32", seed=2)

    def distances(against):
        found = invert(
            model, images, layers=[1, 3], iterations=iterations, optimizer="anytime",
            against=against, tolerance=tolerance,
        )  # fmt: skip
        with torch.no_grad():
            target, seen = (foe.features(x)[3].flatten(1) for x in (images, found.images[1]))
        return found.best[1].mean(), ((seen - target).norm(dim=1) / target.norm(dim=1)).mean()

    ways = dict(away=distances((foe, 0.5)), plain=distances(None), near=distances((foe, -0.5)))
    left, other = ({name: float(way[i]) for name, way in ways.items()} for i in (0, 1))
    assert max(left.values()) < 0.6
    assert other["away"] - 0.01 > other["plain"] > other["near"] + 0.01


@pytest.mark.parametrize(
    ("size", "weight", "said"),
    [(32, 1.0, "against=1.0: its weight must lie between -1 and 1"), (16, 0.3, "takes a tensor")],
)
def test_a_second_model_of_no_use_is_refused(model, images, size, weight, said):
    foe = load_model("vit_pico_patch8_32", seed=2, img_size=size)
    with pytest.raises(ValueError, match=said):
        invert(model, images, against=(foe, weight))


@pytest.mark.parametrize("against", [0.3, "no model", (0.3, 0.3)])
def test_what_is_no_second_model_is_refused(model, images, against):
    with pytest.raises(TypeError, match=r"against=.* must be a model and a weight"):
        invert(model, images, against=against)


@pytest.mark.parametrize("value", [2, [2.0], [True]])
def test_snapshots_that_are_no_whole_numbers_are_refused(model, images, value):
    with pytest.raises(TypeError, match="snapshots=.* must be a list of whole numbers"):
        invert(model, images, iterations=3, snapshots=value)


def test_numbers_of_numpy_and_a_single_name_are_taken(model, images):
    found = invert(model, images, iterations=np.int64(2), layers="block 1")
    assert found.layers == (1,) and found.loss.shape == (1, 3)


@pytest.mark.parametrize("half", ["images", "module"])
def test_any_precision_of_images_and_modules(half):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).double()
    net, x = (
        (net, torch.rand(2, 3, 8, 8))
        if half == "module"
        else (net.float(), torch.rand(2, 3, 8, 8).half())
    )
    model = wrap_model(net, ["0", "1"], img_size=8, mean=[0.5] * 3, std=[0.5] * 3)
    found = invert(model, x, iterations=3)
    assert found.images.dtype == found.best.dtype == torch.float32
    assert bool((found.loss[:, -1] < found.loss[:, 0]).all())


def test_a_module_without_a_gradient_is_refused_before_any_work(monkeypatch):
    class Detached(torch.nn.Sequential):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x)

    net = Detached(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    model = wrap_model(net, ["0"], img_size=8, mean=[0.5] * 3, std=[0.5] * 3)
    monkeypatch.setattr("invlib.inversion.invert._invert_chunk", None)  # calling it would fail
    said = (
        "layer 0 (0) of Detached gives the pixels no gradient: it runs under torch.no_grad(), or "
        "detaches what it is given"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        invert(model, torch.rand(2, 3, 8, 8))


# --- rows that leave, and how far it is -----------------------------------------------------------


@pytest.mark.parametrize("driven", [False, True])
def test_who_leaves_early_does_not_disturb_the_others(model, images, driven):
    """Rows arrive one after another long before the end, and some never do."""
    against = (load_model("vit_pico_patch8_32", seed=2), 0.2) if driven else None
    options = dict(iterations=30, optimizer="anytime", against=against)
    plain = invert(model, images, snapshots=range(1, 31), **options)
    ends = plain.best[-1].flatten().sort().values
    tolerance = float(ends[-3:-1].mean())  # two rows do not come so near
    found = invert(model, images, tolerance=tolerance, **options)
    near = plain.best <= tolerance  # (snapshot, layer, image)
    first = near.float().argmax(0)
    assert near[-1].sum() == 18 and len(first[near[-1]].unique()) > 2 and first[near[-1]].min() < 26
    at = torch.where(near[-1], first, 29)[None]
    assert torch.equal(found.best, plain.best.gather(0, at)[0])
    pixels = at[..., None, None, None].expand(1, *plain.images.shape[1:])
    assert torch.equal(found.images, plain.images.gather(0, pixels)[0])


class Bar:
    """What is told to a progress bar."""

    share = 1.0

    def __init__(self):
        self.steps, self.updates = [], []

    def step(self, t, best):
        self.steps.append((t, len(best), self.share))

    def update(self, steps):
        self.updates.append(steps)


def test_a_progress_bar_is_told_every_step_and_what_is_not_needed(model, images, monkeypatch):
    bars = []

    @contextmanager
    def progress_bar(*asked):
        bars.append((asked, Bar()))
        yield bars[-1][1]

    monkeypatch.setattr("invlib.inversion.invert.progress_bar", progress_bar)
    options = dict(layers=[0, 3], iterations=2, chunk=3, progress=False)
    invert(model, images, **options)
    invert(model, images, tolerance=100.0, **options)
    (asked, all_steps), (_, none) = bars
    assert asked == (False, 2, "invert vit_pico_patch8_32")
    assert all_steps.steps == [(t, 2 * n, n / 5) for n in (3, 2) for t in (0, 1)]
    assert all_steps.updates == [0, 0]
    assert none.steps == [] and none.updates == pytest.approx([2 * 3 / 5, 2 * 2 / 5])


def test_an_equal_distance_keeps_what_was_found_first():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2, bias=False))
    torch.nn.init.zeros_(net[1].weight)
    net[1].weight.data[:, 0] = 1  # one pixel is seen
    blind = wrap_model(net, img_size=4, mean=[0] * 3, std=[1] * 3, layers=["1"])

    def other_pixels(x, iterations, basis=None):
        return lambda grad: x[:, 2].add_(0.1).clamp_(0, 1)

    x = torch.full((1, 3, 4, 4), 0.7)
    found = invert(blind, x, layers=["1"], iterations=3, optimizer=other_pixels, init="black")
    assert (found.images == 0).all()


# --- what each part does --------------------------------------------------------------------------


def test_parts_have_two_images_where_there_are_two(model, images, monkeypatch):
    asked = []

    def split(index, chunk, *, least):
        asked.append((len(index), chunk, least))
        return index.split(chunk)

    monkeypatch.setattr("invlib.inversion.invert.split_batches", split)
    for n, chunk in [(5, 3), (5, 1), (1, 3)]:
        invert(model, images[:n], layers=[0], iterations=1, chunk=chunk)
    assert asked == [(5, 3, 2), (5, 1, 1), (1, 3, 1)]


def test_fifty_steps_unless_it_is_said():
    assert inspect.signature(invert).parameters["iterations"].default == 50


def test_constant_starts_and_a_cycle_of_images(images):
    assert (start_images(images, "white", 0) == 1).all()
    assert (start_images(images, "black", 0) == 0).all()
    order = torch.randperm(5, generator=torch.Generator().manual_seed(3)).tolist()
    before = {k: order[i - 1] for i, k in enumerate(order)}  # who stands before whom
    expected = images[[before[k] for k in range(5)]]
    assert torch.equal(start_images(images, "images", 3), expected)
    assert torch.equal(start_images(images[:2], "images", 0), images[[1, 0]])
    with pytest.raises(ValueError, match="^init='grey' is not one of 'black'"):
        start_images(images, "grey", 0)


def rule_without_step(x, iterations, basis=None):
    return lambda grad: None


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (dict(optimizer=rule_without_step), TypeError, "unexpected keyword argument 'step'"),
        (dict(optimizer="sdg"), ValueError, "^optimizer='sdg' is not one of "),
        (dict(init="grey"), ValueError, "^init='grey' is not one of "),
        (dict(step=float("inf")), ValueError, "^step=inf must be a positive number$"),
        (dict(tolerance=float("inf")), ValueError, "^tolerance=inf must be a positive number$"),
    ],
)
def test_a_recipe_is_checked_by_itself(change, kind, said):
    recipe = dict(iterations=3, optimizer="ngd", step=0.1, init="noise", chunk=None)
    check_recipe(**recipe)
    check_recipe(**recipe | dict(optimizer=rule_without_step, step=None))
    with pytest.raises(kind, match=said):
        check_recipe(**recipe | change)


def test_gradients_of_half_precision_are_those_of_full(images):
    grads = {}

    def rule(x, iterations, basis=None):
        return lambda grad: grads.setdefault(dtype, grad.double())

    for dtype in (torch.float32, torch.float16):
        half = load_model("vit_pico_patch8_32", seed=1).to(dtype)
        invert(half, images, layers=[3], iterations=1, optimizer=rule)
    full, half = (grads[dtype].flatten(1) for dtype in (torch.float32, torch.float16))
    torch.testing.assert_close(half.norm(dim=1), full.norm(dim=1), rtol=0.02, atol=0)
    assert (torch.nn.functional.cosine_similarity(half, full) > 0.99).all()


def test_a_second_model_in_training_is_used_as_in_evaluation(images):
    model, other = load_model("conv4_w4", seed=0), load_model("conv4_w4", seed=1)
    options = dict(layers=[1], iterations=2, against=(other, 0.5))
    usual = invert(model, images, **options)
    other.train()
    assert torch.equal(invert(model, images, **options).images, usual.images) and other.training


def test_a_second_model_without_the_layer_is_refused_before_any_work(model, images, monkeypatch):
    monkeypatch.setattr("invlib.inversion.invert.default_chunk", None)  # calling it would fail
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2))
    small = wrap_model(net, img_size=32, mean=[0] * 3, std=[1] * 3, layers=["1"])
    with pytest.raises(ValueError, match="layer"):
        invert(model, images, layers=[3], against=(small, 0.5))
    with pytest.raises(ValueError, match="^tokens='cls': conv4_w4"):
        invert(model, images, layers=[1], tokens="cls", against=(load_model("conv4_w4"), 0.5))


def test_a_layer_that_is_zero_is_named(images):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2, bias=False))
    torch.nn.init.zeros_(net[1].weight)
    zero = wrap_model(net, img_size=32, mean=[0] * 3, std=[1] * 3, layers=["1"])
    with pytest.raises(ValueError, match="zero or not finite"):
        invert(zero, images, layers=["1"])


def test_another_gradient_of_nearly_nothing_turns_little():
    grad = torch.ones(1, 3, 2, 2, dtype=torch.float64)
    other = torch.full_like(grad, -1e-10 / 12**0.5)  # of length 1e-10
    turned = _driven(grad, other, 0.5) - grad
    assert float(turned.norm()) == pytest.approx(0.25 * 12**0.5)


def test_the_gradient_is_tried_on_one_image():
    shapes = []

    class Seen(torch.nn.Flatten):
        def forward(self, x):
            shapes.append(tuple(x.shape))
            return super().forward(x)

    net = torch.nn.Sequential(Seen(), torch.nn.Linear(48, 3), torch.nn.Linear(3, 2))
    wrapped = wrap_model(net, img_size=4, mean=[0] * 3, std=[1] * 3, layers=["1", "2"])
    shapes.clear()
    check_gradient(wrapped, [wrapped.layers[-1]])
    assert shapes == [(1, 3, 4, 4)]
