"""Inversion: the literal recipe, independence from how the work is cut up, what is refused."""

import pytest
import torch

from invlib.inversion.invert import invert, start_images
from invlib.inversion.rules import OPTIMIZERS
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
        (dict(chunk=0), "chunk=0"),
        (dict(layers=[9]), "layers=\\[9\\]"),
        (dict(images=torch.rand(1, 3, 32, 32), init="images"), "at least 2 are needed"),
    ],
)
def test_bad_input_is_named(model, images, change, message):
    arguments = dict(images=images, iterations=1) | change
    with pytest.raises(ValueError, match=message):
        invert(model, arguments.pop("images"), **arguments)


def test_a_layer_that_is_not_finite_is_named(images):
    model = load_model("vit_pico_patch8_32")
    model.net.blocks[1].mlp.fc2.bias.data[0] = torch.inf
    with pytest.raises(ValueError, match=r"layer 2 \(block 2\)"):
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
