"""Inversions kept on disk: made once, by a key of all that they depend on."""

import hashlib
import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from invlib.data.images import load_images
from invlib.inversion import cache
from invlib.inversion.cache import ENGINE, REVISIONS, cached_invert, inversion_key
from invlib.inversion.invert import invert
from invlib.inversion.rules import fast
from invlib.models.hooked import wrap_model
from invlib.models.loading import load_model


@pytest.fixture(scope="module")
def models():
    return tuple(load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def pool():
    return load_images("digits", "test", n=20)


@pytest.fixture
def counted(monkeypatch):
    calls = []

    def count(*args, **kwargs):
        calls.append(kwargs)
        return invert(*args, **kwargs)

    monkeypatch.setattr("invlib.inversion.cache.invert", count)
    return calls


def test_an_inversion_is_made_once(models, pool, tmp_path, counted):
    x = pool.tensor(32)[:4]
    first = cached_invert(models[0], x, cache=tmp_path, iterations=3, seed=1)
    again = cached_invert(models[0], x, cache=tmp_path, iterations=3, seed=1, chunk=1)
    assert len(counted) == 1
    for name in ("images", "loss", "best"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert first.layers == again.layers
    cached_invert(models[0], x, cache=False, iterations=3, seed=1)
    assert len(counted) == 2
    assert not list(tmp_path.glob("*.tmp"))


def test_two_rules_of_one_name_are_two_inversions(models, pool, tmp_path):
    x = pool.tensor(32)[:2]
    one, two = (
        cached_invert(
            models[0], x, cache=tmp_path, iterations=3, optimizer=partial(fast, unit=unit)
        )
        for unit in (True, False)
    )
    assert not torch.equal(one.images, two.images)


def test_a_new_head_is_the_same_key_and_anything_else_is_not(models, pool):
    x = pool.tensor(32)[:4]
    key = inversion_key(models[0], x, iterations=3)
    model = load_model("vit_pico_patch8_32", seed=0)
    assert inversion_key(model.with_head("reconstruction"), x, iterations=3) == key
    assert inversion_key(models[0], x, iterations=3, chunk=2, progress=False) == key
    others = [
        inversion_key(models[1], x, iterations=3),
        inversion_key(models[0], x.flip(0), iterations=3),
        inversion_key(models[0], x, iterations=4),
        inversion_key(models[0], x, iterations=3, layers=[0]),
        inversion_key(models[0], x, iterations=3, seed=1),
        inversion_key(models[0], x, iterations=3, step=0.1),
        inversion_key(models[0], x, iterations=3, against=(models[1], 0.3)),
        inversion_key(models[0], x, iterations=3, against=(models[1], -0.3)),
        inversion_key(
            models[0], x, iterations=3, against=(load_model(models[0].name, seed=7), 0.3)
        ),
    ]
    assert len({key, *others}) == len(others) + 1


def test_a_revised_recipe_forgets_its_own_inversions_only(models, pool, monkeypatch):
    x = pool.tensor(32)[:4]

    def keys():
        return [inversion_key(models[0], x, optimizer=name) for name in ("ngd", "fast")]

    before = keys()
    monkeypatch.setattr("invlib.inversion.cache.REVISIONS", {"fast": 1_000})
    after = keys()
    assert before[0] == after[0] and before[1] != after[1]


def test_a_torn_file_is_made_again(models, pool, tmp_path, counted):
    x = pool.tensor(32)[:4]
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    assert len(counted) == 2


def test_who_comes_second_waits_for_the_first(models, pool, tmp_path, counted):
    x = pool.tensor(32)[:4]
    with ThreadPoolExecutor(3) as many:
        jobs = [
            many.submit(cached_invert, models[0], x, cache=tmp_path, iterations=5) for _ in "abc"
        ]
        found = [job.result() for job in jobs]
    assert len(counted) == 1
    assert all(torch.equal(one.images, found[0].images) for one in found)


def test_a_key_knows_the_precision_of_products(models, pool):
    x, usual = pool.tensor(32)[:2], torch.get_float32_matmul_precision()
    keys = [inversion_key(models[0], x)]
    with torch.autocast("cpu", torch.bfloat16):
        keys.append(inversion_key(models[0], x))
    torch.set_float32_matmul_precision("high")
    try:
        keys.append(inversion_key(models[0], x))
    finally:
        torch.set_float32_matmul_precision(usual)
    assert len(set(keys)) == 3 and inversion_key(models[0], x) == keys[0]


# --- what is on disk ------------------------------------------------------------------------------


def test_a_damaged_file_is_made_again_with_a_word(models, pool, tmp_path, counted, caplog):
    x = pool.tensor(32)[:4]
    first = cached_invert(models[0], x, cache=tmp_path, iterations=2)
    (path,) = tmp_path.glob("*.safetensors")
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 4  # in the tensors: another number
    path.write_bytes(blob)
    again = cached_invert(models[0], x, cache=tmp_path, iterations=2)
    assert torch.equal(first.images, again.images) and len(counted) == 2
    assert caplog.text.count(f"{path} is no whole inversion and is made again") == 1
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    assert len(counted) == 2


def test_a_file_under_the_name_of_another_is_made_again(models, pool, tmp_path, counted, caplog):
    x = pool.tensor(32)[:4]
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    (path,) = tmp_path.glob("*.safetensors")
    other = f"{inversion_key(models[0], x, iterations=3)}.safetensors"
    path.rename(path.with_name(other))
    found = cached_invert(models[0], x, cache=tmp_path, iterations=3)
    assert found.loss.shape == (4, 4) and len(counted) == 2
    assert "holds another inversion" in caplog.text


def test_an_older_file_without_a_digest_is_still_read(models, pool, tmp_path, counted, caplog):
    x = pool.tensor(32)[:4]
    first = cached_invert(models[0], x, cache=tmp_path, iterations=2)
    (path,) = tmp_path.glob("*.safetensors")
    save_file(load_file(path), path)
    again = cached_invert(models[0], x, cache=tmp_path, iterations=2)
    assert torch.equal(first.images, again.images) and len(counted) == 1 and not caplog.text


def test_reading_takes_no_lock(models, pool, tmp_path, counted, monkeypatch):
    """A reader need not be allowed to write where somebody else keeps inversions."""
    x = pool.tensor(32)[:4]
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    monkeypatch.setattr("invlib.inversion.cache.lock", None)  # calling it would fail
    cached_invert(models[0], x, cache=tmp_path, iterations=2)
    assert len(counted) == 1


OTHER = dict(
    layers=[0], iterations=7, optimizer="adam", step=0.1, init="white", snapshots=[1, 2],
    tolerance=0.5, seed=1, tokens="mean",
)  # fmt: skip


def test_a_key_knows_every_argument_of_invert(models, pool):
    """Also those to come: an argument without a value here fails."""
    x = pool.tensor(32)[:4]
    changes_nothing = {"model", "images", "chunk", "progress"}
    other = OTHER | dict(against=(models[1], 0.3))
    assert set(other) == set(inspect.signature(invert).parameters) - changes_nothing
    keys = [inversion_key(models[0], x, **{name: value}) for name, value in other.items()]
    assert len({inversion_key(models[0], x), *keys}) == len(keys) + 1


def test_a_key_knows_network_size_and_device(pool):
    x = pool.tensor(32)[:2]
    small = load_model("vit_pico_patch8_32", seed=0)
    key, names = inversion_key(small, x), []
    for name, value in dict(name="another", img_size=64).items():
        other = load_model("vit_pico_patch8_32", seed=0)
        setattr(other, name, value)
        names.append(inversion_key(other, x))
    names.append(inversion_key(small, x.view(1, 6, 32, 32)))  # the same bytes in another shape
    assert len({key, *names}) == 4


# --- the key, written out -------------------------------------------------------------------------


def written(says, models, images):
    """The hash of what a key says, and of all weights and images, by their names."""
    digest = hashlib.sha256(json.dumps(says, sort_keys=True).encode())
    weights = [item for model in models for item in sorted(model.trunk().items())]
    for name, tensor in [*weights, ("images", images)]:
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()[:24]


def test_a_key_says_the_recipe_the_network_and_the_device(models, pool):
    x = pool.tensor(32)[:2]
    says = dict(
        seed=3, snapshots=[1, 2], tokens="cls", optimizer="fast", revision=REVISIONS["fast"],
        engine=ENGINE, model="vit_pico_patch8_32", size=32, device="cpu", layers=[1, 2, 3],
        shape=[2, 3, 32, 32],
    )  # fmt: skip
    asked = dict(tokens="cls", seed=3, snapshots=range(1, 3), optimizer="fast")
    key = written(says, models[:1], x)
    assert inversion_key(models[0], x, chunk=2, progress=True, **asked) == key
    with torch.autocast("cpu", torch.bfloat16):
        key = written(says | dict(precision=["highest", "torch.bfloat16"]), models[:1], x)
        assert inversion_key(models[0], x, **asked) == key


def wrapped(bias):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.Tanh())
    torch.nn.init.constant_(net[1].bias, bias)
    return wrap_model(net, img_size=4, mean=[0.5] * 3, std=[0.5] * 3, layers=["0", "1"])


def test_a_key_says_what_wrapped_modules_compute(pool):
    model, other, x = wrapped(0.0), wrapped(1.0), pool.tensor(4)[:3]
    seen = [h for each in (model, other) for h in each.features(x[:1], [1])]
    with torch.no_grad():
        features = [hashlib.sha256(h.double().numpy().tobytes()).hexdigest() for h in seen]
    says = dict(
        against=[other.name, 0.5], engine=ENGINE, model=model.name, size=4, device="cpu",
        layers=[1], shape=[3, 3, 4, 4], features=features,
    )  # fmt: skip
    key = inversion_key(model, x, layers=[1], against=(other, 0.5))
    assert len(set(features)) == 2 and key == written(says, (model, other), x)


def test_without_a_folder_it_is_the_one_of_the_project(models, pool, tmp_path, monkeypatch):
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path))
    x, devices = pool.tensor(32)[:2], []
    read = cache._read
    monkeypatch.setattr(cache, "_read", lambda *a: devices.append(a[1]) or read(*a))
    cached_invert(models[0], x, iterations=1)
    key = inversion_key(models[0], x, iterations=1)
    assert {file.name for file in tmp_path.glob("inversions/*")} == {
        f"{key}.safetensors", f"{key}.lock"
    }  # fmt: skip
    assert devices == [torch.device("cpu")] * 2  # once more when it is this process's turn
    assert {
        t.device.type for t in read(tmp_path / "inversions" / f"{key}.safetensors", "meta")
    } == {"meta"}
    with pytest.raises(TypeError, match=r"^cache=3 must be True, False or a folder$"):
        cached_invert(models[0], x, cache=3)


def test_what_is_read_says_its_layers_and_snapshots(models, pool, tmp_path, counted):
    x = pool.tensor(32)[:2]
    for asked in (dict(tokens="cls"), dict(layers=[0, 2], snapshots=(1, 2))):
        made, read = (
            cached_invert(models[0], x, cache=tmp_path, iterations=2, **asked) for _ in range(2)
        )
        assert (made.layers, made.snapshots) == (read.layers, read.snapshots)
    assert len(counted) == 2


def test_a_damaged_file_that_cannot_be_removed_is_replaced(
    models, pool, tmp_path, counted, caplog, monkeypatch
):
    def refuse(self, **_):
        raise PermissionError("no")

    x = pool.tensor(32)[:2]
    cached_invert(models[0], x, cache=tmp_path, iterations=1)
    (path,) = tmp_path.glob("*.safetensors")
    save_file({"images": torch.zeros(1)}, path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert cache._read(path, "cpu") is None
    assert caplog.messages == [f"{path} is no whole inversion and is made again ('loss')"]
    cached_invert(models[0], x, cache=tmp_path, iterations=1)
    assert len(counted) == 2
