"""What a training leaves on disk, and models that come back from it."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from invlib.training.checkpoints import Trained
from invlib.training.run import TrainingRun
from invlib.training.train import train
from tests.invlib.training.tiny import TINY, same, state, tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(TINY, root=tmp_path_factory.mktemp("runs"), device="cpu")


def test_the_folder_holds_every_epoch_and_says_what_it_is(trained):
    assert trained.complete and trained.epochs == [0, 1, 2] and trained.path.name == TINY.id
    names = {path.name for path in trained.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        "run.json", "state_001.safetensors", "state_002.safetensors", "log.nc", "done.json",
        *(f"epoch_00{k}.safetensors" for k in range(3)),
    }  # fmt: skip
    assert TrainingRun.from_json((trained.path / "run.json").read_text()) == TINY
    done = json.loads((trained.path / "done.json").read_text())
    assert done["run"] == TINY.id and done["epochs"] == 2 and len(done["weights_sha256"]) == 64
    with safe_open(trained.checkpoint(1), "pt") as file:
        says = json.loads(file.metadata()["invlib"])
    assert len(says.pop("seal")) == 64 and says == {
        "run": TINY.id, "epoch": 1, "model": TINY.model, "img_size": 32,
        "task": "classification", "num_classes": 10,
    }  # fmt: skip


def test_the_log_has_every_epoch_and_no_training_at_epoch_0(trained):
    log = trained.log
    assert log.attrs["kind"] == "training" and list(log.epoch) == [0, 1, 2]
    assert json.loads(log.attrs["parameters"])["id"] == TINY.id
    for name in ("train_loss", "train_accuracy", "learning_rate"):
        assert np.isnan(log[name][0]) and np.isfinite(log[name][1:]).all()
    for name in ("test_loss", "test_accuracy", "epoch_time"):
        assert np.isfinite(log[name]).all()


def test_a_model_comes_back_with_its_head_in_evaluation_mode(trained):
    model = trained.model()
    assert model.task == "classification" and model.net.num_classes == 10 and not model.training
    assert same(model.net.state_dict(), state(trained, 2))


def test_an_epoch_that_is_not_stored_is_an_error_that_lists_them(trained):
    with pytest.raises(
        ValueError, match=r"epoch=7 .* stored are 0, 1, 2 \(keep='all'\); -1 is the last"
    ):
        trained.model(7)
    with pytest.raises(ValueError, match="stored are none"):
        Trained(TINY, trained.path / "nowhere").checkpoint()


def test_keep_ends_drops_what_a_killed_process_left(tmp_path):
    """It was killed after the last state was written, before the epoch before was removed."""
    run = tiny(keep="ends")
    whole = train(run, root=tmp_path, device="cpu")
    left = whole.path / "epoch_001.safetensors"
    left.write_bytes(whole.checkpoint(2).read_bytes())
    for name in ("done.json", "log.nc"):
        (whole.path / name).unlink()
    assert train(run, root=tmp_path, device="cpu").epochs == [0, 2] and not left.exists()


def test_keep_ends_keeps_the_ends(tmp_path, trained):
    ends = train(tiny(keep="ends"), root=tmp_path, device="cpu")
    assert ends.complete and ends.epochs == [0, 2]
    assert same(state(ends), state(trained))
