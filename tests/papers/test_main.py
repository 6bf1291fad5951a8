"""The command line: its help, what it does, and one line for what it cannot do."""

from __future__ import annotations

import pytest

from papers.__main__ import main
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of

COMMANDS = ("train", "claims", "bench", "parameters")


def test_train_lists_the_runs_of_a_scale(capsys):
    assert main(["train", "--scale", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    parameters = load_scale("smoke")
    runs = runs_of(section.from_parameters(parameters) for section in SECTIONS.values())
    assert [line.split()[0] for line in lines] == list(runs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--scale", "labtop"], "did you mean 'laptop'?"),
        (["train", "--scale", "smoke", "--id", "0123"], "id='0123' is no run of scale smoke"),
        (["claims", "--scale", "labtop"], "did you mean 'laptop'?"),
        (["bench", "--scale", "smoke", "--keep"], "--keep is for the full sizes"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert error.startswith("papers: error: ") and "Traceback" not in error


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--id", "a", "--all"], ["claim"]])
def test_bad_usage_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["claims", "--help"],
        ["bench", "--help"],
        ["parameters", "--help"],
    ],
)
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: python -m papers" in capsys.readouterr().out


def test_a_traceback_for_who_asks():
    with pytest.raises(ValueError, match="no run of scale"):
        main(["--traceback", "train", "--id", "0123"])
