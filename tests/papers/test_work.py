"""What the work of every section shares: results are written with what made them, and reused."""

from __future__ import annotations

import json

import pytest
import torch
import xarray as xr

from invlib import train
from invlib.training.run import TrainingRun
from papers.parameters import ParameterError, load_scale
from papers.section import Section
from papers.sections import SECTIONS
from papers.work import check, kept, results_of, written


@pytest.fixture(autouse=True)
def runs(monkeypatch, tmp_path):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    return tmp_path


class Timed(Section):
    name = "timed"


def measured(section: Section) -> xr.Dataset:
    said = dict(long_name="time", units="s")
    return xr.Dataset({"time": ((), 1.5, said)}, attrs={"note": "mine", "device": "a GPU of old"})


def test_results_are_read_back_from_where_they_were_written(runs):
    ds = written("benchmark")(measured)(Timed(scale="mine"))
    assert ds.equals(xr.open_dataset(runs / "mine" / "timed.nc"))
    assert ds.attrs["kind"] == "benchmark" and "note" not in ds.attrs
    assert json.loads(ds.attrs["parameters"]) == Timed(scale="mine").model_dump(mode="json")
    assert json.loads(ds.attrs["seeds"]) == [0, 1]
    assert ds.attrs["device"] == "a GPU of old"  # where it was computed, says the Dataset


def test_a_piece_is_computed_once_and_a_damaged_one_again(runs, monkeypatch):
    computed = []
    piece = kept(lambda section, name: computed.append(name) or measured(section))
    piece(Timed(), "a"), piece(Timed(), "a")
    assert computed == ["a", "a"] and not list(runs.rglob("*.pickle"))  # only if asked for
    monkeypatch.setenv("INVLIB_PIECES", "1")
    for name in "aab":
        xr.testing.assert_identical(piece(Timed(), name), measured(Timed()))
    assert computed == ["a", "a", "a", "b"]
    for file in runs.rglob("*.pickle"):
        blob = bytearray(file.read_bytes())
        blob[len(blob) // 2] ^= 1
        file.write_bytes(blob)
    xr.testing.assert_identical(piece(Timed(), "b"), measured(Timed()))
    assert computed[4:] == ["b"]


def test_what_made_them_can_be_said():
    write = written(
        "benchmark", seeds=lambda section: section.seeds[:1], device="abacus", keep=["note"]
    )
    ds = write(measured)(Timed())
    assert (ds.attrs["seeds"], ds.attrs["device"], ds.attrs["note"]) == ("[0]", "abacus", "mine")


def test_results_of_another_section_are_computed_once(monkeypatch):
    """`Dynamics` stands in for a section whose results another one reads."""
    calls = []

    def dataset(section: Section) -> xr.Dataset:
        calls.append(section)
        return written("benchmark")(measured)(section)

    monkeypatch.setattr(SECTIONS["dynamics"], "dataset", dataset)
    first = SECTIONS["robustness"](n=8, trainings=("sgd:0.1",))
    second = first.model_copy(update={"n": 4})
    for section in (first, first):
        assert float(results_of(section, "dynamics")["time"]) == 1.5
    with pytest.raises(
        ParameterError, match="robustness needs .* was made with n=8; another scale"
    ):
        results_of(second, "dynamics")
    elsewhere = second.model_copy(update={"scale": "other"})
    assert float(results_of(elsewhere, "dynamics")["time"]) == 1.5
    assert [section.n for section in calls] == [8, 4]


# --- checks before any work -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "parameters", "said"),
    [
        ("finetuning_task", {"n": 501}, "n=501: there are 500 test images of digits"),
        ("dynamics", {"corrupted_n": 501}, "corrupted_n=501: there are 500 test images"),
        ("pretraining_dataset", {"targets": ["nosuch"]}, "targets='nosuch': there is no data set"),
        ("finetuning_task", {"finetuning_n": 10**5}, "finetuning_n=100000: there are 1297 train"),
        (
            "finetuning_task",
            {"finetuning_test_n": 501},
            "finetuning_test_n=501: there are 500 test",
        ),
        ("finetuning_task", {"model": "nosuch"}, "model='nosuch': unknown model"),
        ("finetuning_task", {"img_size": 33}, "img_size"),
        ("finetuning_task", {"weights": "no.safetensors"}, "weights='no.safetensors' is no file"),
        ("how_inverted", {"race_n": 501}, "race_n=501: there are 500"),
        ("unlearning", {"labels_images": 501}, "labels_images=501: there are 500"),
        ("unlearning", {"labels_pretraining_n": 1290}, "1290 of them for another training"),
        ("collapse_and_plasticity", {"cka_n": 301}, "cka_n=301: there are 300 test images"),
        ("known_invariances", {"shapes_n": 2001}, "shapes_n=2001: there are 2000"),
    ],
)
def test_what_would_stop_a_section_later_is_found_before_any_work(section, parameters, said):
    with pytest.raises(ParameterError) as refused:
        check(SECTIONS[section].from_parameters(parameters))
    lines = str(refused.value).splitlines()
    assert said in lines[0] and lines[0].startswith(f"{section}: ") and len(lines) <= 3


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("scale", ["laptop", "smoke"])
def test_what_the_scales_say_passes(name, scale):
    check(SECTIONS[name].from_parameters(load_scale(scale)))


def test_a_notebook_checks_before_any_work():
    with pytest.raises(ParameterError, match="n=100000: there are 500 test images"):
        SECTIONS["finetuning_task"].from_namespace({"n": 100_000})


def test_results_with_other_parameters_are_not_overwritten(runs):
    written("benchmark")(measured)(Timed(scale="mine"))
    check(Timed(scale="mine"))
    with pytest.raises(ParameterError, match=r"mine/timed\.nc was made with seeds=\[0, 1\]"):
        check(Timed(scale="mine", seeds=(1,)))
    (runs / "mine" / "timed.nc").write_bytes(b"torn")  # is missed by nobody
    check(Timed(scale="mine", seeds=(1,)))


def test_a_learning_rate_that_diverges_is_named():
    class Diverging(Timed):
        name = "diverging"
        lr: float = 1e30

        def runs(self):
            some = dict(model="vit_pico_patch8_32", dataset="digits", n_train=64, n_test=16)
            run = TrainingRun(**some, epochs=1, lr=self.lr, batch_size=16, augmentation="none")
            return {"run": run}

    @written("benchmark")
    def dataset(section: Section) -> xr.Dataset:
        train(section.runs()["run"], root=section.training_root)

    with pytest.raises(FloatingPointError, match=r"^diverging: lr=1e\+30: training diverged: the "):
        dataset(Diverging())


def test_the_threads_of_trainings_are_recorded(runs):
    class Trained(Timed):
        name = "trained"

        def runs(self):
            some = dict(model="vit_pico_patch8_32", dataset="digits", n_train=32, n_test=16)
            return {"run": TrainingRun(**some, epochs=0, augmentation="none")}

    section = Trained()
    train(section.runs()["run"], root=section.training_root)
    (device,) = json.loads(written("benchmark")(measured)(section).attrs["trained_on"])
    assert device.endswith(f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}")
