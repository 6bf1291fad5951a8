"""The command line: its help, what it does, and one line for what it cannot do."""

from __future__ import annotations

import json
import re

import pytest

from invlib.__main__ import main
from invlib.training.run import TrainingRun

TINY = TrainingRun(
    model="vit_pico_patch8_32", dataset="digits", n_train=32, n_test=16, batch_size=32, epochs=1
)


def test_train_does_a_run_from_a_file(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(TINY.to_json())
    assert main(["train", "--run", str(file), "--root", str(tmp_path), "--device", "cpu"]) == 0
    assert (tmp_path / TINY.id / "done.json").is_file()
    assert f"{TINY.id}: test accuracy 0." in capsys.readouterr().out


def test_data_says_what_it_loaded(capsys):
    assert main(["data", "digits", "--split", "train", "--n", "5"]) == 0
    assert capsys.readouterr().out.startswith("digits/train: 5 images of 32×32 px, 10 classes")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--run", "nowhere.json"], "nowhere.json"),
        (["data", "digtis"], "digits"),
        (["data", "digits", "--split", "trian"], "train"),
        (["data", "digits", "--n", "1000000"], "1000000"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1
    assert error.startswith("invlib: error: ") and "Traceback" not in error


def test_a_bad_run_file_is_named(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"model": "vit_pico_patch8_32", "dataset": "digits", "epoch": 1}))
    assert main(["train", "--run", str(file)]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cud", "cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_one_line(tmp_path, capsys, device):
    file = tmp_path / "run.json"
    file.write_text(TINY.to_json())
    assert main(["train", "--run", str(file), "--root", str(tmp_path), "--device", device]) == 2
    error = capsys.readouterr().err
    assert f"device='{device}' cannot be used here" in error and error.count("\n") == 1
    assert "'cpu'" in error and "'cuda'" in error


@pytest.mark.parametrize("text", [b"", b'{"model": ', b"\x80\x81", b"[1]", b"\xff\xfe{\0}\0"])
def test_a_file_that_is_no_run_is_named(tmp_path, capsys, text):
    file = tmp_path / "run.json"
    file.write_bytes(text)
    assert main(["train", "--run", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{file} describes no training run: " in error and error.count("\n") == 1


def test_a_byte_order_mark_is_no_mistake(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_bytes(b"\xef\xbb\xbf" + TINY.to_json().encode())
    assert main(["train", "--run", str(file), "--root", str(tmp_path), "--device", "nowhere"]) == 2
    assert "device='nowhere'" in capsys.readouterr().err  # the file has been read


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "did you mean 'train'"),
        (["claims"], "invalid choice: 'claims'"),
        (["train", "--run"], "--run"),
        (["train"], "--run"),
        (["data"], "name"),
    ],
)
def test_bad_usage_is_exit_status_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert said in error and "usage:" in error


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: python -m invlib" in capsys.readouterr().out


def test_help_says_where_the_commands_of_the_papers_are(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "python -m papers --help, in a checkout of the book" in text


def test_a_traceback_for_who_asks():
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        main(["--traceback", "train", "--run", "nowhere.json"])
