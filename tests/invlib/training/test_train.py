"""Training: what is the same every time, how it is optimised, and what stops it."""

import math
import shutil
import threading

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from invlib.data.images import load_images, resize
from invlib.data.squares import palette
from invlib.models.loading import load_model
from invlib.training import seen as tasks
from invlib.training import train as training
from invlib.training.checkpoints import Trained
from invlib.training.evaluation import evaluate
from invlib.training.run import TrainingRun
from invlib.training.seen import trained_on
from invlib.training.train import (
    build_optimizer,
    build_scheduler,
    epoch_generator,
    has_batch_norm,
    train,
)
from tests.invlib.training.tiny import TINY, same, state, tiny

CPU = torch.device("cpu")


def at_work(run, tmp_path, start=None):
    """A training that has not taken a step."""
    return training._Training(Trained(run, tmp_path), start, CPU)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(TINY, root=tmp_path_factory.mktemp("runs"), device="cpu")


@pytest.fixture
def no_work(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("nothing was to be trained here")

    monkeypatch.setattr(training, "_Training", refuse)


# ── What is scored ───────────────────────────────────────────────────────────────────────────────


def test_the_log_is_what_the_stored_weights_score(trained):
    test = load_images("digits", "test", n=40)
    for epoch in trained.epochs:
        model = trained.model(epoch)
        with torch.no_grad():
            logits = model(test.tensor(32))
        labels = torch.tensor(test.labels)
        loss = nn.functional.cross_entropy(logits, labels)
        row = trained.log.sel(epoch=epoch)
        assert math.isclose(loss, row.test_loss, rel_tol=1e-4)
        assert math.isclose((logits.argmax(1) == labels).double().mean(), row.test_accuracy)


def test_epoch_0_is_the_model_before_any_step(trained):
    model = load_model(TINY.model, seed=TINY.seed)
    body = {k: v for k, v in model.net.state_dict().items() if not k.startswith("head")}
    stored = state(trained, 0)
    assert all(torch.equal(stored[k], v) for k, v in body.items())
    assert not torch.equal(stored["head.weight"], state(trained, 1)["head.weight"])


def test_no_epochs_is_the_initial_model_and_its_score(tmp_path, trained):
    none = train(tiny(epochs=0), root=tmp_path, device="cpu")
    assert none.epochs == [0] and same(state(none), state(trained, 0))
    assert float(none.log.test_loss[0]) == float(trained.log.test_loss[0])


# ── The same every time ──────────────────────────────────────────────────────────────────────────


def test_a_finished_run_is_not_done_again(trained, no_work):
    assert train(TINY, root=trained.path.parent) == trained


def test_the_result_does_not_depend_on_global_randomness_nor_change_it(tmp_path, trained):
    torch.manual_seed(123)
    np.random.seed(123)
    before = torch.random.get_rng_state()
    again = train(TINY, root=tmp_path, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())
    for epoch in trained.epochs:
        assert again.checkpoint(epoch).read_bytes() == trained.checkpoint(epoch).read_bytes()
    assert again.log.drop_vars("epoch_time").equals(trained.log.drop_vars("epoch_time"))


def test_another_seed_is_another_training_on_the_same_test_images(tmp_path, trained):
    other = at_work(tiny(seed=1), tmp_path)
    first = at_work(TINY, tmp_path)
    assert not torch.equal(other.images, first.images)
    assert torch.equal(other.tests[0], first.tests[0])
    assert not same(other.model.net.state_dict(), state(trained, 0))


def test_epochs_draw_from_their_own_generators():
    draws = [
        torch.rand(4, generator=epoch_generator(seed, epoch)).tolist()
        for seed in range(3)
        for epoch in range(1, 4)
    ]
    assert len({tuple(d) for d in draws}) == 9
    assert torch.equal(epoch_generator(1, 2).get_state(), epoch_generator(1, 2).get_state())


@pytest.mark.parametrize("last_step", [1, 2, 4, 5])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, trained, monkeypatch, last_step):
    steps = 0
    real = training._Training.step

    def stop(self, *args):
        nonlocal steps
        steps += 1
        if steps > last_step:
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, root=tmp_path, device="cpu")
    assert not Trained(TINY, tmp_path / TINY.id).complete
    again = train(TINY, root=tmp_path, device="cpu")
    assert again.checkpoint().read_bytes() == trained.checkpoint().read_bytes()
    assert again.log.drop_vars("epoch_time").equals(trained.log.drop_vars("epoch_time"))


def test_a_resumed_run_does_only_what_is_missing(tmp_path, trained, monkeypatch):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    (tmp_path / TINY.id / "done.json").unlink()
    monkeypatch.setattr(training._Training, "train_epoch", None)  # would fail if it were called
    assert train(TINY, root=tmp_path, device="cpu").complete


def test_weights_that_were_deleted_come_back(tmp_path, trained):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    (tmp_path / TINY.id / "epoch_001.safetensors").unlink()
    again = train(TINY, root=tmp_path, device="cpu")
    assert again.checkpoint(1).read_bytes() == trained.checkpoint(1).read_bytes()


def test_dropout_too_follows_from_seed_and_epoch(tmp_path, monkeypatch):
    def drop(*args, **kwargs):
        model = load_model(*args, **kwargs)
        for block in model.net.blocks:
            block.mlp.drop1 = nn.Dropout(0.5)
        return model

    monkeypatch.setattr(training, "load_model", drop)
    ends = []
    for root in ("a", "b"):
        torch.manual_seed(len(ends))
        ends.append(train(TINY, root=tmp_path / root, device="cpu"))
    assert same(state(ends[0]), state(ends[1]))


def test_a_second_process_waits_and_finds_it_done(tmp_path, trained, no_work):
    folder = tmp_path / TINY.id
    folder.mkdir()
    found = []
    with FileLock(folder / ".lock"):
        second = threading.Thread(target=lambda: found.append(train(TINY, root=tmp_path)))
        second.start()
        second.join(timeout=0.3)
        assert second.is_alive() and not found
        shutil.copytree(
            trained.path, folder, ignore=shutil.ignore_patterns(".lock"), dirs_exist_ok=True
        )
    second.join(timeout=20)
    assert found and found[0].complete


# ── From one run to the next ─────────────────────────────────────────────────────────────────────


def test_a_run_that_starts_from_a_run_trains_that_first(tmp_path, trained):
    run = tiny(weights=TINY, seed=5, epochs=1, keep="ends")
    fine = train(run, root=tmp_path, device="cpu")
    parent = Trained(TINY, tmp_path / TINY.id)
    assert parent.complete and same(state(parent), state(trained))
    start, end = state(fine, 0), state(parent)
    body = [k for k in end if not k.startswith("head")]
    assert all(torch.equal(start[k], end[k]) for k in body)
    assert not torch.equal(start["head.weight"], end["head.weight"])  # always a new head


def test_a_new_head_is_drawn_from_the_seed_of_the_run(tmp_path, trained):
    heads = []
    for seed in (0, 5):
        run = tiny(weights=str(trained.checkpoint()), seed=seed, epochs=0)
        begun = state(train(run, root=tmp_path, device="cpu"), 0)
        model = load_model(TINY.model, weights=trained.checkpoint())
        expected = model.with_head("classification", 10, seed=seed).net.state_dict()
        assert same(begun, expected)
        heads.append(begun["head.weight"])
    assert not torch.equal(*heads)


def test_weights_from_a_path_give_the_same_as_from_the_run(tmp_path, trained):
    path = at_work(tiny(weights=str(trained.checkpoint())), tmp_path, str(trained.checkpoint()))
    run = at_work(tiny(weights=TINY), tmp_path, trained.checkpoint())
    assert same(path.model.net.state_dict(), run.model.net.state_dict())


def test_reconstruction_learns_pixels_and_has_no_accuracy(tmp_path, trained):
    run = tiny(task="reconstruction", weights=TINY, epochs=4, schedule="constant")
    shutil.copytree(trained.path, tmp_path / TINY.id)
    rebuilt = train(run, root=tmp_path, device="cpu")
    log, model = rebuilt.log, rebuilt.model()
    assert not {"test_accuracy", "train_accuracy"} & set(log)
    assert log.test_loss[-1] < 0.8 * log.test_loss[0]
    assert model.task == "reconstruction"
    x = load_images("digits", "test", n=40).tensor(32)
    with torch.no_grad():
        l1 = (model(x) - x).abs().mean()  # pixels in [0, 1]
    assert math.isclose(l1, log.test_loss[-1], rel_tol=1e-4)


def test_the_target_of_reconstruction_is_the_augmented_image(tmp_path, monkeypatch):
    work = at_work(tiny(task="reconstruction"), tmp_path)
    shown = torch.rand(5, 3, 32, 32)
    monkeypatch.setattr(training, "augment", lambda *args, **kwargs: shown)
    with torch.no_grad():
        want = (work.model(shown) - shown).abs().mean()
    loss, _ = work.step(torch.arange(5), torch.Generator())
    assert torch.isclose(loss, want)


def test_a_kept_head_is_that_of_the_run_before(tmp_path, trained):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    fine = train(tiny(weights=TINY, head="kept", epochs=1), root=tmp_path, device="cpu")
    assert same(state(fine, 0), state(trained)) and not same(state(fine), state(trained))
    assert fine.log.test_accuracy[0] == trained.log.test_accuracy[-1]
    for fields, said in (
        (
            {"dataset": "shapes"},
            "a head for classification of 10 classes; for the 24 here allowed is 'new'",
        ),
        (
            {"task": "reconstruction"},
            "a head for classification; for task='reconstruction' allowed is 'new'",
        ),
    ):
        path = str(trained.checkpoint())
        with pytest.raises(ValueError, match=said):
            at_work(tiny(weights=path, head="kept", **fields), tmp_path, path)


# ── Optimisation ─────────────────────────────────────────────────────────────────────────────────


def test_it_learns(tmp_path):
    run = tiny(
        n_train=600, n_test=100, epochs=4, batch_size=20, lr=1e-2, augmentation="none", keep="ends"
    )
    log = train(run, root=tmp_path, device="cpu").log
    assert log.test_accuracy[0] < 0.2 < log.test_accuracy[-1]  # ten classes, and a tiny ViT
    assert log.train_loss[-1] < log.train_loss[1]


@pytest.mark.parametrize(("steps", "warmup"), [(1000, 50), (200, 20), (7, 0)])
def test_the_cosine_is_the_one_of_transformers(steps, warmup):
    run = tiny(lr=0.5, warmup_steps=50)
    optimizer = build_optimizer(run, nn.Linear(2, 2))
    scheduler = build_scheduler(run, optimizer, steps)
    for t in range(steps):
        scheduler.step_update(t)
        # get_cosine_schedule_with_warmup(optimizer, warmup, steps)
        if t < warmup:
            want = t / warmup
        else:
            want = 0.5 * (1 + math.cos(math.pi * (t - warmup) / (steps - warmup)))
        for group in optimizer.param_groups:
            assert math.isclose(group["lr"], 0.5 * want, abs_tol=1e-12)


def test_a_constant_rate_is_constant_after_the_warm_up():
    run = tiny(lr=0.5, warmup_steps=10, schedule="constant")
    optimizer = build_optimizer(run, nn.Linear(2, 2))
    scheduler = build_scheduler(run, optimizer, 1000)
    rates = []
    for t in range(1000):
        scheduler.step_update(t)
        rates.append(optimizer.param_groups[0]["lr"])
    assert np.allclose(rates[:10], np.arange(10) / 10 * 0.5) and set(rates[10:]) == {0.5}


def test_steps_lines_and_one_cycles():
    rates = {}
    for schedule in ("step", "linear", "one-cycle"):
        run = tiny(lr=1.0, warmup_steps=10, schedule=schedule)
        optimizer = build_optimizer(run, nn.Linear(2, 2))
        scheduler, rates[schedule] = build_scheduler(run, optimizer, 200), []
        for t in range(200):
            scheduler.step_update(t)
            rates[schedule].append(optimizer.param_groups[0]["lr"])
    step, line, cycle = map(np.array, rates.values())
    assert np.allclose(step[10:100], 1) and np.allclose(step[100:150], 0.1)
    assert np.allclose(step[150:], 0.01)
    assert np.allclose(line[10:], 1 - np.arange(190) / 190)
    assert np.allclose(cycle[:60], np.arange(60) / 60) and cycle.argmax() == 60
    assert np.allclose(cycle[60:], 0.5 * (1 + np.cos(np.pi * np.arange(140) / 140)))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_biases_and_norms_are_not_decayed(name):
    net = load_model(TINY.model).net
    run = tiny(optimizer=name, weight_decay=0.1, momentum=0.7)
    optimizer = build_optimizer(run, net)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    assert type(optimizer) is kinds[name]
    names = {id(p): n for n, p in net.named_parameters()}
    decay = {
        group["weight_decay"]: {names[id(p)] for p in group["params"]}
        for group in optimizer.param_groups
    }
    assert set(decay) == {0.0, 0.1}
    assert decay[0.0] == {n for n in names.values() if n.endswith("bias") or ".norm" in n or
                          n.startswith("norm")}  # fmt: skip
    assert decay[0.0] | decay[0.1] == set(names.values())
    if name == "sgd":
        assert all(g["momentum"] == 0.7 and not g["nesterov"] for g in optimizer.param_groups)


@pytest.mark.parametrize(("clip", "largest"), [(1e-3, 1e-3), (None, math.inf)])
def test_the_gradient_is_clipped_by_its_global_norm(tmp_path, clip, largest):
    work = at_work(
        tiny(optimizer="sgd", lr=1.0, momentum=0.0, weight_decay=0.0, clip=clip), tmp_path
    )
    before = nn.utils.parameters_to_vector(work.model.parameters()).detach().clone()
    work.step(torch.arange(32), epoch_generator(0, 1))
    moved = nn.utils.parameters_to_vector(work.model.parameters()).sub(before).norm().item()
    assert moved <= 1.001 * largest and moved > 0.99 * min(largest, 0.1)


def test_label_smoothing_is_in_the_training_loss_only(tmp_path):
    plain, smooth = (at_work(tiny(label_smoothing=s), tmp_path) for s in (0.0, 0.5))
    with torch.no_grad():  # certain of a class: what smoothing punishes
        for work in (plain, smooth):
            work.model.net.head.bias[3] = 20
    assert evaluate(plain.model, *plain.tests) == evaluate(smooth.model, *smooth.tests)
    losses = [w.step(torch.arange(32), epoch_generator(0, 1))[0] for w in (plain, smooth)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("kwargs", [{"optimizer": "sgd", "lr": 1e30, "clip": None}])
def test_a_loss_that_is_not_finite_stops_and_stores_nothing_of_the_epoch(tmp_path, kwargs):
    run = tiny(warmup_steps=0, **kwargs)
    with pytest.raises(FloatingPointError) as error:
        train(run, root=tmp_path, device="cpu")
    said = str(error.value)
    assert "training loss is nan at epoch 1, step 2 of 3" in said and run.id in said
    assert "lr=" in said and "of 1e+30" in said and "try a lower lr" in said
    found = Trained(run, tmp_path / run.id)
    assert found.epochs == [0] and not found.complete
    assert not (found.path / "done.json").exists()


def test_weights_broken_by_the_last_step_are_caught_by_the_test_loss(tmp_path):
    run = tiny(n_train=20, epochs=1, optimizer="sgd", lr=1e30, clip=None, warmup_steps=0)
    with pytest.raises(FloatingPointError, match="test loss is nan at epoch 1"):
        train(run, root=tmp_path, device="cpu")
    assert Trained(run, tmp_path / run.id).epochs == [0]


# ── Labels and squares ───────────────────────────────────────────────────────────────────────────


def test_an_adversary_changes_images_within_its_bound_so_that_the_loss_rises(tmp_path):
    training_ = at_work(tiny(adversary=0.03), tmp_path)
    x, labels = resize(training_.images[:20], 32), training_.labels[:20]
    model, generator = training_.model.eval(), torch.Generator().manual_seed(0)
    changed = training_.attacked(x, labels, generator)
    assert (changed - x).abs().max() <= 0.03001 and changed.min() >= 0 and changed.max() <= 1
    noise = (x + 0.03 * torch.randn(x.shape, generator=generator).sign()).clamp(0, 1)
    with torch.no_grad():
        clean, random, worst = (training_.loss(model(part), labels) for part in (x, noise, changed))
    assert worst > max(clean, random) + 0.01
    assert all(p.grad is None for p in model.parameters())


def test_a_training_against_changes_sees_them_and_repeats_to_the_bit(tmp_path, trained):
    run = tiny(adversary=0.03)
    first, again = (state(train(run, root=tmp_path / name, device="cpu")) for name in "ab")
    assert same(first, again) and not same(first, state(trained))


def test_squares_are_learnt_and_the_original_test_images_have_none(tmp_path):
    run = tiny(
        n_train=600, n_test=100, epochs=4, batch_size=20, lr=1e-2, augmentation="none",
        squares=1.0, square_size=8, keep="ends",
    )  # fmt: skip
    log = train(run, root=tmp_path, device="cpu").log
    assert log.test_accuracy_squares[-1] > 0.9 > log.test_accuracy[-1] + 0.3
    work, plain = at_work(run, tmp_path), at_work(tiny(n_test=100), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(work.tests, plain.tests, strict=True))
    # What a step sees: every square, whole, where it was pasted.
    seen = training.augment(work.images, 32, kind="none", generator=torch.Generator())
    for shown, label in zip(seen, work.labels, strict=True):
        colour = torch.tensor(palette(10)[label]) / 255
        assert torch.equal(shown[:, :8, :8], colour[:, None, None].expand(3, 8, 8))


def test_the_labels_trained_on_are_those_of_the_task(tmp_path):
    run = tiny(randomness=9, shift=1)
    work, task = at_work(run, tmp_path), trained_on(run)
    assert work.labels.tolist() == task.labels.tolist()
    assert work.tests[1].tolist() == tasks.evaluated_on(run).labels.tolist()
    assert torch.equal(work.images, at_work(TINY, tmp_path).images)


# ── Data, evaluation, progress ───────────────────────────────────────────────────────────────────


def test_images_larger_than_needed_are_shrunk_once(tmp_path):
    images = load_images("digits", "test", n=5)
    for side, shape in ((64, (32, 32)), (16, (16, 16)), (10, (10, 10))):
        pixels, labels = training._on_device(images, side, CPU)
        assert pixels.dtype == torch.uint8 and pixels.shape == (5, *shape, 3)
        assert labels.tolist() == list(images.labels)
    want = resize(torch.tensor(images.images), 16)
    pixels, _ = training._on_device(images, 16, CPU)
    assert (pixels.permute(0, 3, 1, 2) / 255 - want).abs().max() <= 0.5 / 255 + 1e-6


def test_the_bar_is_quiet_unless_asked_or_at_a_terminal(tmp_path, capfd):
    train(tiny(epochs=1), root=tmp_path / "quiet", device="cpu")
    assert capfd.readouterr() == ("", "")
    train(tiny(epochs=1), root=tmp_path / "bar", device="cpu", progress=True)
    assert "vit_pico_patch8_32 on digits" in capfd.readouterr().err


def test_errors_of_the_parts_come_through_and_leave_the_run_unfinished(tmp_path):
    for run, error in (
        (tiny(n_train=10**7), ValueError),
        (tiny(img_size=33), ValueError),
        (tiny(weights="nowhere.safetensors"), FileNotFoundError),
    ):
        with pytest.raises(error):
            train(run, root=tmp_path, device="cpu")
        assert not Trained(run, tmp_path / run.id).complete


def test_a_training_is_found_at_an_older_place_of_its_id(tmp_path):
    """Older versions kept those of a scale in a folder of the scale."""
    run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_train=16, n_test=8, epochs=0)
    old = train(run, root=tmp_path / "laptop" / "training", device="cpu")
    found = train(run, root=tmp_path / "training", device="cpu")
    assert found.path == old.path and not (tmp_path / "training").exists()
    (old.path / "done.json").unlink()  # an unfinished one is not gone on with there
    assert train(run, root=tmp_path / "training", device="cpu").path.parent == tmp_path / "training"
    assert train(run, root=tmp_path / "mine", device="cpu").path.parent == tmp_path / "mine"


def test_progress_is_shown_without_a_terminal_for_who_asks(tmp_path, monkeypatch, capsys):
    run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_train=16, n_test=8, epochs=1)
    monkeypatch.setenv("INVLIB_PROGRESS", "0.01")
    train(run, root=tmp_path / "a", device="cpu")
    assert "training vit_pico_patch8_32 on digits, " in capsys.readouterr().err
    monkeypatch.delenv("INVLIB_PROGRESS")
    train(run, root=tmp_path / "b", device="cpu")
    assert capsys.readouterr().err == ""


def test_batch_norm_is_found():
    nets = [load_model(name) for name in ("conv4_w4", "vit_pico_patch8_32")]
    assert [has_batch_norm(net) for net in nets] == [True, False]
