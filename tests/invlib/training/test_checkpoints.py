"""What a training leaves on disk, and models that come back from it."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from invlib.training import train as training
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


@pytest.mark.parametrize("name", [".log.nc.123.0a1b2c3d.tmp", ".tmpfo5d4"])
def test_what_a_killed_process_was_writing_is_removed(cut, name):
    """The second is a name of safetensors, which writes beside the file as well."""
    cut.path.joinpath(name).write_bytes(b"half")
    train(cut.run, root=cut.path.parent, device="cpu")
    assert not cut.path.joinpath(name).exists() and cut.complete


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


# ── What is damaged ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cut(trained, tmp_path):
    """The same run, cut off after its last epoch was stored."""
    shutil.copytree(trained.path, tmp_path / TINY.id)
    for name in ("done.json", "log.nc"):
        (tmp_path / TINY.id / name).unlink()
    return Trained(TINY, tmp_path / TINY.id)


def flip(path, after=b""):
    """Flip a bit of the byte that follows these bytes, or of the last one."""
    blob = bytearray(path.read_bytes())
    blob[blob.index(after) + len(after) if after else -1] ^= 1
    path.unlink()
    path.write_bytes(blob)


def epochs_trained(trained, monkeypatch):
    """Finish the run; return the epochs that this took, having compared what came out."""
    done, real = [], training._Training.train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(
            training._Training, "train_epoch",
            lambda self, epoch, bar: done.append(epoch) or real(self, epoch, bar),
        )  # fmt: skip
        again = train(TINY, root=trained.path.parent, device="cpu")
    assert again.complete
    return done


@pytest.mark.parametrize("damaged", ["epoch_002", "state_002"])
def test_it_goes_on_from_the_last_epoch_that_is_whole(cut, trained, damaged, monkeypatch, caplog):
    flip(cut.path / f"{damaged}.safetensors")
    assert epochs_trained(cut, monkeypatch) == [2]
    assert f"cannot go on from epoch 2: {cut.path / damaged}.safetensors is damaged" in caplog.text
    assert all(same(state(cut, k), state(trained, k)) for k in range(3))


@pytest.mark.parametrize("damaged", [("epoch_000",), ("epoch_001",), ("state_001", "state_002")])
def test_without_a_whole_pair_it_starts_again(cut, trained, damaged, monkeypatch, caplog):
    for name in damaged:
        flip(cut.path / f"{name}.safetensors")
    assert epochs_trained(cut, monkeypatch) == [1, 2]
    assert "it starts again" in caplog.text
    assert all(same(state(cut, k), state(trained, k)) for k in range(3))


def test_it_never_goes_on_without_a_state(cut, monkeypatch, caplog):
    for k in (1, 2):
        (cut.path / f"state_00{k}.safetensors").unlink()
    assert epochs_trained(cut, monkeypatch) == [1, 2] and "it starts again" in caplog.text


def other_run(tmp_path):
    return train(tiny(seed=7), root=tmp_path / "other", device="cpu").path


@pytest.mark.parametrize("name", ["epoch_002.safetensors", "state_002.safetensors"])
def test_files_of_another_run_do_not_pass(cut, trained, tmp_path, name, monkeypatch, caplog):
    shutil.copy(other_run(tmp_path) / name, cut.path / name)
    assert epochs_trained(cut, monkeypatch) == [2]
    assert f"is not of epoch 2 of run {TINY.id}" in caplog.text
    assert same(state(cut), state(trained))
    shutil.copy(cut.path / "epoch_001.safetensors", cut.path / "epoch_002.safetensors")
    assert not cut.complete and "is not of epoch 2" in cut.problem


@pytest.mark.parametrize(
    ("name", "after", "said"),
    [
        ("epoch_001.safetensors", b"", "epoch_001.safetensors is damaged"),
        ("log.nc", TINY.id[:-1].encode(), "log.nc is torn or damaged"),
        ("done.json", b'"run": "', "belongs to another run"),
        ("done.json", b'"weights_sha256": "', "is not what done.json says it is"),
        ("run.json", b'"epochs": ', "describes another run"),
    ],
)
def test_complete_means_that_everything_can_be_opened(trained, tmp_path, name, after, said):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    again = Trained(TINY, tmp_path / TINY.id)
    assert again.complete
    flip(again.path / name, after)
    assert not again.complete and said in again.problem
    assert train(TINY, root=tmp_path, device="cpu").complete
    assert same(state(again), state(trained))


def test_a_log_of_another_run_does_not_pass(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    shorter = train(tiny(epochs=1), root=tmp_path, device="cpu")
    shutil.copy(shorter.path / "log.nc", tmp_path / TINY.id / "log.nc")
    assert "log.nc is the log of another run" in Trained(TINY, tmp_path / TINY.id).problem


def test_a_run_whose_start_has_moved_is_still_the_same(trained, tmp_path):
    start = shutil.copy(trained.checkpoint(), tmp_path / "start.safetensors")
    again = train(tiny(weights=str(start)), root=tmp_path, device="cpu")
    moved = shutil.move(start, tmp_path / "moved.safetensors")
    run = tiny(weights=str(moved))
    assert run.id == again.path.name and Trained(run, again.path).complete


def unsealed(path):
    """As an older version wrote it: the same settings, no seal."""
    with safe_open(path, "pt") as file:
        settings = json.loads(file.metadata()["invlib"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del settings["seal"]
    save_file(tensors, path, {"invlib": json.dumps(settings)})


def test_trainings_of_older_versions_still_open(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / TINY.id)
    old = Trained(TINY, tmp_path / TINY.id)
    for epoch in old.epochs:
        unsealed(old.checkpoint(epoch))
    for file in old.path.glob("state_*"):
        file.unlink()
    done = json.loads((old.path / "done.json").read_text())
    done["weights_sha256"] = hashlib.sha256(old.checkpoint().read_bytes()).hexdigest()
    (old.path / "done.json").write_text(json.dumps(done))
    assert old.complete and same(state(old), state(trained))


def test_keep_ends_goes_on_from_the_epoch_before_too(tmp_path, trained, monkeypatch):
    run, stored = tiny(keep="ends"), []
    real = Trained.finish
    monkeypatch.setattr(Trained, "finish", lambda self: stored.append(self.epochs) or real(self))
    ends = train(run, root=tmp_path, device="cpu")
    assert stored == [[0, 1, 2]] and ends.epochs == [0, 2]
    assert [p.name for p in ends.path.glob("state_*")] == ["state_002.safetensors"]
