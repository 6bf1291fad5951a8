"""TrainingRun: what it says, what it refuses, and an id that is the same everywhere."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from invlib.training.run import TrainingRun


def make(**kwargs):
    return TrainingRun(**{"model": "vit_pico_patch8_32", "dataset": "digits"} | kwargs)


OTHER = {
    "model": "vit_nano_patch8_32",
    "dataset": "shapes",
    "img_size": 64,
    "weights": "timm",
    "task": "reconstruction",
    "n_train": 10,
    "n_test": 10,
    "epochs": 3,
    "batch_size": 32,
    "optimizer": "adam",
    "lr": 0.1,
    "momentum": 0.5,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_steps": 5,
    "clip": None,
    "augmentation": "none",
    "label_smoothing": 0.1,
    "seed": 1,
    "keep": "ends",
    "randomness": 3,
    "shift": 3,
    "squares": 0.5,
    "square_size": 5,
    "head": "kept",
    "skip": 7,
    "adversary": 0.5,
}
# What a field needs beside it to mean something.
BESIDE = {
    "squares": {"augmentation": "none"},
    "square_size": {"augmentation": "none", "squares": 1.0},
    "head": {"weights": "timm"},
}


def test_ids_of_stored_runs_stay_what_they_are():
    """Fields came later; checkpoints, results and tables written before name these ids."""
    assert make().id == "9df4c846699f"
    assert make(weights=make(), task="reconstruction").id == "161e2a2e45e4"


def test_a_run_written_before_a_field_existed_is_read_as_its_default():
    said = json.loads(make(weights=make(seed=1)).to_json())
    for name in ("randomness", "shift", "squares", "square_size", "head", "skip", "adversary"):
        del said[name], said["weights"][name]
    assert TrainingRun.from_json(json.dumps(said)) == make(weights=make(seed=1))


def test_every_field_changes_the_id():
    assert set(OTHER) == set(TrainingRun.model_fields)
    for name, value in OTHER.items():
        beside = BESIDE.get(name, {})
        assert make(**beside).id != make(**beside, **{name: value}).id, name
    alone = {make(**{name: OTHER[name]}).id for name in OTHER.keys() - BESIDE.keys()}
    assert len(alone | {make().id}) == len(OTHER) - len(BESIDE) + 1


def test_the_id_is_twelve_hex_digits_and_equal_runs_have_equal_ids():
    run = make(lr=1)
    assert run == make(lr=1.0) and hash(run) == hash(make(lr=1.0)) and run.id == make(lr=1.0).id
    assert len(run.id) == 12 and int(run.id, 16) >= 0


def test_the_id_is_the_same_in_another_process_and_imports_no_torch():
    run = make(weights=make(task="classification", seed=3), task="reconstruction", lr=3e-4)
    code = (
        "import sys; from invlib.training.run import TrainingRun\n"
        "print(TrainingRun.from_json(sys.stdin.read()).id)\n"
        "assert not {'torch', 'timm', 'xarray'} & set(sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], input=run.to_json(), capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip() == run.id


def test_json_round_trip_keeps_nested_runs():
    run = make(weights=make(weights=make(dataset="shapes"), seed=1), task="reconstruction")
    again = TrainingRun.from_json(run.to_json())
    assert again == run and again.id == run.id
    assert isinstance(again.parent.parent, TrainingRun) and again.parent.parent.parent is None
    assert json.loads(run.to_json())["weights"]["weights"]["dataset"] == "shapes"


def test_another_start_is_another_id():
    assert make(weights=make(seed=1)).id != make(weights=make(seed=2)).id != make().id


def test_a_weights_file_counts_by_content_and_not_by_place(tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    absent = [make(weights=str(p)).id for p in (one, two)]
    assert absent[0] != absent[1]  # by name while there is nothing to read
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    same = make(weights=str(one)).id
    assert same == make(weights=str(two)).id and same not in absent
    one.write_bytes(b"other")
    assert make(weights=str(one)).id != same


def test_absent_weights_count_by_name_only(tmp_path):
    ids = {make(weights=str(tmp_path / d / "w.safetensors")).id for d in ("a", "b")}
    assert len(ids) == 1


def test_a_dataset_path_counts_by_content(tmp_path):
    for name, content in (("a.npz", b"1"), ("b.npz", b"1"), ("c.npz", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (make(dataset=str(tmp_path / f"{name}.npz")).id for name in "abc")
    assert a == b != c
    assert make(dataset="./digits").id != make(dataset="digits").id  # a path, not the name
    for root in ("x", "y"):
        (tmp_path / root / "cat").mkdir(parents=True)
        (tmp_path / root / "cat" / "1.png").write_bytes(b"png")
    x = make(dataset=str(tmp_path / "x")).id
    assert x == make(dataset=str(tmp_path / "y")).id
    (tmp_path / "y" / "cat" / "2.png").write_bytes(b"png")
    assert x != make(dataset=str(tmp_path / "y")).id


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("optimizer", "sdg", "'adam', 'adamw', 'sgd'; did you mean 'sgd'"),
        ("task", "classify", "'classification', 'reconstruction'; did you mean 'classification'"),
        ("schedule", "cosin", "did you mean 'cosine'"),
        ("augmentation", "merlyn", "did you mean 'merlin'"),
        ("keep", "end", "did you mean 'ends'"),
        ("model", "", "allowed is a name"),
        ("weights", "", "a path to safetensors or a TrainingRun"),
        ("epochs", -1, "an integer >= 0"),
        ("batch_size", 0, "an integer >= 1"),
        ("n_train", 0, "an integer >= 1, or None"),
        ("img_size", 0, "an integer >= 1, or None"),
        ("warmup_steps", -5, "an integer >= 0"),
        ("seed", -1, "an integer >= 0"),
        ("lr", 0, "a number > 0"),
        ("lr", float("nan"), "a number > 0"),
        ("lr", float("inf"), "a number > 0"),
        ("clip", 0.0, "a number > 0, or None"),
        ("weight_decay", -1e-4, "a number >= 0"),
        ("momentum", 1.0, "a number in [0, 1)"),
        ("label_smoothing", 1.0, "a number in [0, 1)"),
        ("randomness", -1, "an integer >= 0"),
        ("shift", -1, "an integer >= 0"),
        ("skip", -1, "an integer >= 0"),
        ("squares", 1.1, "a number in [0, 1]"),
        ("square_size", 0, "an integer >= 1"),
        ("adversary", 1.1, "a number in [0, 1]"),
        ("head", "keep", "did you mean 'kept'"),
    ],
)
def test_a_wrong_value_names_field_value_and_allowed(field, value, said):
    with pytest.raises(ValueError) as error:
        make(**{field: value})
    assert f"{field}={value!r}" in str(error.value) and said in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 3),
        ("dataset", None),
        ("weights", 3),
        ("task", None),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", None),
        ("batch_size", "256"),
        ("n_test", 2.0),
        ("seed", "0"),
        ("lr", "0.1"),
        ("lr", None),
        ("clip", True),
        ("momentum", None),
        ("n_train", np.int64(3)),
        ("weights", Path("w.safetensors")),
    ],
)
def test_a_wrong_type_names_field_value_and_allowed(field, value):
    with pytest.raises(TypeError) as error:
        make(**{field: value})
    assert f"{field}={value!r} is " in str(error.value) and "allowed is" in str(error.value)


def test_every_wrong_field_has_its_line():
    with pytest.raises(TypeError) as error:
        make(epochs="3", lr=-1, weights=3)
    assert [line.split("=")[0] for line in str(error.value).splitlines()] == [
        "weights", "epochs", "lr"
    ]  # fmt: skip


def test_a_run_is_a_value():
    run = make(weights=make(seed=1), lr=np.float64(0.5), clip=1)
    for again in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run), TrainingRun(**dict(run))):
        assert again == run and hash(again) == hash(run) and again.id == run.id
    assert type(run.lr) is type(run.clip) is float
    with pytest.raises(ValueError, match="frozen"):
        run.lr = 0.1


def test_label_smoothing_means_nothing_for_reconstruction():
    with pytest.raises(ValueError, match="label_smoothing=0.1 means nothing"):
        make(task="reconstruction", label_smoothing=0.1)


@pytest.mark.parametrize("field", ["randomness", "shift", "squares", "adversary"])
def test_labels_mean_nothing_for_reconstruction(field):
    with pytest.raises(ValueError, match=f"{field}=1.* means nothing for task='reconstruction'"):
        make(task="reconstruction", augmentation="none", **{field: 1})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"squares": 0.5}, "augmentation='merlin' may crop the squares away; .* is 'none'"),
        ({"square_size": 5}, "square_size=5 means nothing with squares=0; allowed there is 4"),
        ({"head": "kept"}, "head='kept' with weights=None: there is no head; allowed is 'new'"),
        (
            {"head": "kept", "weights": make(task="reconstruction")},
            "head='kept' of a run with task='reconstruction'",
        ),
        ({"skip": 9, "seed": 1, "weights": make()}, "skip=9 with seed=1 leaves out other images"),
    ],
)
def test_fields_that_contradict_each_other_are_named(fields, said):
    with pytest.raises(ValueError, match=said):
        make(**fields)


def test_a_skip_needs_the_seed_of_a_parent_only_on_the_same_data():
    assert make(skip=9, seed=1, weights=make(dataset="shapes")).skip == 9
    assert make(skip=9, seed=1, weights=make(seed=1)).skip == 9


def test_describe_says_what_is_done_to_the_data():
    run = make(
        weights=make(), head="kept", n_train=50, skip=20, shift=2, randomness=3, squares=0.25,
        augmentation="none",
    )  # fmt: skip
    said = run.describe()
    assert "on digits (50 images after the first 20): classification of labels shifted by 2" in said
    assert "and spread over 4 with 4 px squares on 0.25 of the images, 100 epochs" in said
    assert f"({run.parent.id}) with its head, seed 0" in said
    assert "classification of labels spread over 10, 100" in make(randomness=9).describe()
    assert "classification against changes up to 0.25, 100" in make(adversary=0.25).describe()


def test_from_json_refuses_what_is_no_run():
    with pytest.raises(ValueError, match="'epoch'; known are .*did you mean 'epochs'"):
        TrainingRun.from_json('{"model": "m", "dataset": "d", "epoch": 3}')
    with pytest.raises(ValueError, match="does not say dataset"):
        TrainingRun.from_json('{"model": "m"}')
    with pytest.raises(ValueError, match="unknown field of TrainingRun 'epoch'"):
        make(epoch=3)
    with pytest.raises(ValueError, match="'epoch'; known are"):  # of the run it starts from
        TrainingRun.from_json('{"model": "m", "dataset": "d", "weights": {"epoch": 3}}')
    with pytest.raises(TypeError, match="JSON object"):
        TrainingRun.from_json("[1, 2]")
    with pytest.raises(ValueError):
        TrainingRun.from_json("{not json")


def test_describe_is_one_line_that_says_where_the_run_starts(tmp_path):
    run = make(weights=make(dataset="shapes"), n_train=100, img_size=64)
    assert "\n" not in run.describe()
    assert "at 64 px" in run.describe() and "(100 images)" in run.describe()
    assert f"trained on shapes ({run.parent.id})" in run.describe()
    assert "ImageNet weights of timm" in make(weights="timm").describe()
    weights = str(tmp_path / "w.safetensors")
    assert "weights w.safetensors" in make(weights=weights).describe()


def test_a_copy_is_checked_like_a_new_run():
    parent = make(seed=3)
    assert make(weights=parent).model_copy(update={"epochs": 3}) == make(weights=parent, epochs=3)
    with pytest.raises(ValueError, match="'epoch'.*did you mean 'epochs'"):
        make().model_copy(update={"epoch": 3})
    with pytest.raises(TypeError, match="epochs='3' is text"):
        make().model_copy(update={"epochs": "3"})
    with pytest.raises(ValueError, match="head='kept' with weights=None"):
        make().model_copy(update={"head": "kept"})


@pytest.mark.parametrize(
    "name", ["weight_decay", "momentum", "label_smoothing", "squares", "adversary"]
)
def test_equal_runs_have_one_id_whatever_the_sign_of_zero(name):
    assert make(**{name: -0.0}).id == make(**{name: 0.0}).id
    assert make().model_copy(update={name: -0.0}).id == make(**{name: 0.0}).id
