"""Sections made by many processes: jobs, their order, and the same numbers as by one process."""

import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from math import inf

import pytest
import torch
import xarray as xr

from invlib.results.netcdf import open_results
from papers.__main__ import main
from papers.engine import pool
from papers.engine.gpu import LIST
from papers.engine.pool import ASSEMBLY, Job, Queue, jobs_of, load_sections
from papers.engine.work import pool as work
from papers.engine.work import sharing
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.workspace import ROOT

FILE = ROOT / LIST
NAMES = ["learning_rate_schedules", "convergence"]


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("toy", [False, True])
def test_the_list_has_sections_and_jobs_that_exist(toy):
    sections = load_sections(FILE, toy=toy)
    assert [section.name for section in sections] == [
        "learning_rate_schedules", "architectures", "other_images", "dynamics", "robustness",
        "convergence", "finetuning_task", "placebo",
    ]  # fmt: skip
    for section in sections:
        jobs = jobs_of(section)
        (last,) = (job for job in jobs.values() if job.kind == ASSEMBLY)
        assert last.needs == jobs.keys() - {next(k for k, j in jobs.items() if j is last)}
        for job in jobs.values():
            assert job.needs <= jobs.keys() and 0 < job.seconds < inf


def test_the_list_is_what_the_questions_have_with_more_of_each():
    by_name = {section.name: section for section in load_sections(FILE)}
    few = load_scale("cifar", ROOT / "notebooks/scales/overrides/cpu_questions.yaml")
    changed = {"n", "finetuning_n", "train_seeds"}
    for name in ("learning_rate_schedules", "architectures", "other_images"):
        many, one = by_name[name].model_dump(), SECTIONS[name].from_parameters(few).model_dump()
        assert {key for key in many if many[key] != one[key]} == changed
    for name in ("dynamics", "robustness"):
        assert by_name[name].finetuning_seeds == (0, 1, 2, 3, 4)
    assert by_name["convergence"].convergence_n == 64
    assert {by_name[name].img_size for name in ("finetuning_task", "placebo")} == {224}


def test_what_sections_share_is_one_job():
    large, twin = load_sections(FILE, ["finetuning_task", "placebo"])
    shared = jobs_of(large).keys() & jobs_of(twin).keys()
    trainings = {key for key in shared if key.startswith("training")}
    assert len(trainings) == 10 and len(shared - trainings) == 20  # of both tasks, two draws
    assert len(Queue([large, twin]).jobs) < len(jobs_of(large)) + len(jobs_of(twin))


def test_no_section_waits_for_a_job_of_another_alone():
    queue = Queue(load_sections(FILE))
    for keys in queue.keys.values():
        assert all(queue.jobs[key].needs <= keys for key in keys)


def test_a_piece_waits_for_its_training_and_the_inverted_start():
    (section,) = load_sections(FILE, ["learning_rate_schedules"])
    jobs = jobs_of(section)
    pieces = {key: job for key, job in jobs.items() if job.kind == "piece"}
    assert len(pieces) == len(section.trainings())
    for job in pieces.values():
        kinds = sorted(jobs[key].kind for key in job.needs)
        assert kinds == ["inversion", "inversion", "training"]


def test_a_larger_network_costs_more():
    small, large = ({"img_size": side, "scale": "gpu"} for side in (64, 224))
    names = ["model", "weights", "datasets", "finetuning_n", "batch_size", "n", "iterations"]
    (of,) = load_sections(FILE, ["placebo"])
    usual = {name: of.model_dump(mode="json")[name] for name in names}
    seconds = [
        Queue([SECTIONS["placebo"].from_parameters(usual | size)]).left(["placebo"])
        for size in (small, large)
    ]
    assert seconds[1] > 3 * seconds[0]


def test_what_was_measured_comes_out():
    """15 fine-tunings of 4,000 images and 8 epochs are 0.85 a second, inversions 2 a second."""
    (section,) = load_sections(FILE, ["other_images"])
    jobs = jobs_of(section).values()
    (training,) = {round(job.seconds, 2) for job in jobs if job.kind == "training"}
    (inversion,) = {round(job.seconds, 2) for job in jobs if job.kind == "inversion"}
    assert abs(1 / training - 0.85) < 0.02 and inversion == 0.5


def test_the_command_says_what_it_takes(capsys):
    assert main(["gpu", "sections", "dynamics,placebo", "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["dynamics", "placebo", "together"]
    assert int(lines[-1].split()[1]) == sum(int(line.split()[1]) for line in lines[1:3])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is no list of sections"),
        ("{scale: smoke, sections: {dynamic: }}", "did you mean 'dynamics'?"),
        ("{scale: smoke, sections: {dynamics: {evry: 2}}}", "did you mean 'every'?"),
        ("{scale: smkoe, sections: {dynamics: }}", "did you mean 'smoke'?"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, text, said):
    file = tmp_path / "list.yaml"
    file.write_text(text)
    with pytest.raises((ParameterError, ValueError)) as error:
        load_sections(file)
    assert said in str(error.value)


def test_an_unknown_section_is_refused(capsys):
    assert main(["gpu", "sections", "dynamic"]) == 2
    assert "did you mean 'dynamics'?" in capsys.readouterr().err


# ── Which is next ────────────────────────────────────────────────────────────────────────────────


class Toy:
    """A section of a few jobs, `seconds` each: train, then two inversions, then the assembly."""

    def __init__(self, name, seconds, train=None):
        self.name, self.seconds, self.train = name, seconds, train or name


def toy_jobs(section):
    name, seconds = section.name, section.seconds
    train = f"training {section.train}"
    cost = 1 if section.train != name else seconds
    jobs = {train: Job("training", name, None, frozenset(), cost)}
    for i in (0, 1):
        jobs[f"inversion {name} {i}"] = Job("inversion", name, None, frozenset([train]), seconds)
    jobs[f"{ASSEMBLY} {name}"] = Job(ASSEMBLY, name, None, frozenset(jobs), seconds)
    return jobs


@pytest.fixture
def queue(monkeypatch):
    monkeypatch.setattr(pool, "jobs_of", toy_jobs)
    return lambda *sections, **how: Queue([Toy(*section) for section in sections], **how)


def drain(queue, left=inf):
    order = []
    while key := queue.take(left):
        order.append(key)
        queue.finish(key)
    return order


def test_the_cheapest_section_comes_first_and_its_assembly_before_other_work(queue):
    order = drain(queue(("dear", 10), ("cheap", 1)))
    assert order.index("assembly cheap") == 3 and order[-1] == "assembly dear"


def test_an_assembly_goes_before_trainings_that_wait(queue):
    both = queue(("a", 1), ("b", 2))
    for _ in range(3):
        both.finish(both.take())
    assert both.take() == "assembly a"


def test_nothing_is_given_out_twice_or_too_early(queue):
    one = queue(("a", 1))
    first = one.take()
    assert first == "training a" and one.take() is None
    one.finish(first)
    assert {one.take(), one.take()} == {"inversion a 0", "inversion a 1"} and one.take() is None


def test_a_section_that_does_not_fit_is_not_begun(queue):
    both = queue(("cheap", 1), ("dear", 10))
    assert drain(both, left=30) == drain(queue(("cheap", 1)))
    assert both.became() == {"cheap": "done", "dear": "not begun"}
    assert len(drain(both, left=40)) == 4  # 30 of the GPU and 10 of its assembly


def test_with_what_is_begun_it_may_not_fit(queue):
    both = queue(("cheap", 10), ("dear", 20))
    assert both.take(left=100) == "training cheap"
    assert both.take(left=100) is None  # 30 and 60 of the GPU, 20 of the longer assembly
    assert both.take(left=110) == "training dear"


def test_after_the_end_only_assemblies_begin(queue):
    one = queue(("a", 1))
    for _ in range(2):
        one.finish(one.take(left=9))
    assert one.take(left=0) is None
    one.finish(one.take(left=9))
    assert one.take(left=-100) == "assembly a"


def test_a_shared_job_is_done_for_the_section_that_fits(queue):
    both = queue(("cheap", 1, "t"), ("dear", 10, "t"))
    drain(both, left=5)
    assert both.became() == {"cheap": "done", "dear": "not begun"}
    assert "training t" not in drain(both, left=100)


def test_a_job_that_fails_twice_ends_its_sections_alone(queue):
    three = queue(("a", 1), ("b", 2, "t"), ("c", 3, "t"))
    order = []
    while key := three.take():
        order.append(key)
        if key == "training t":
            assert three.fail(key) == (order.count(key) == 1)
        else:
            three.finish(key)
    assert order.count("training t") == 2
    assert three.became() == {"a": "done", "b": "failed", "c": "failed"}


def test_what_was_done_before_is_not_done_again(queue):
    one = queue(("a", 1), done=["training a", "inversion a 1", "training of others"])
    assert drain(one) == ["inversion a 0", "assembly a"]


# ── Processes ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A project of one's own: spawned processes find it by the folder they start in."""
    for folder in ("invlib", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "invlib" / "paths.py").touch()
    os.symlink(ROOT / "notebooks" / "scales", tmp_path / "notebooks" / "scales")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a process of a pool sets for itself ends with the test."""
    monkeypatch.setenv("INVLIB_PIECES", "")
    monkeypatch.setenv("INVLIB_PROGRESS", os.environ.get("INVLIB_PROGRESS", ""))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class Inline:
    """The interface of a pool of processes; jobs are done here, at once."""

    def __init__(self, processes, context, start, arguments):
        start(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except BrokenProcessPool as error:
            future.set_exception(error)
        return future


def test_processes_leave_the_numbers_of_one_and_go_on_after_an_end(places, capsys, monkeypatch):
    sections = {section.name: section for section in load_sections(FILE, NAMES, toy=True)}
    command = ["gpu", "sections", ",".join(NAMES), "--list", str(FILE), "--toy"]
    command += ["--processes", "2", "--out", str(places / "back")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2 processes, MPS off" in said and all(f"{name}: done" in said for name in NAMES)
    kept = list((places / "data/runs/gpu-toy/pieces").iterdir())
    assert len(kept) == 2  # of two trainings with one schedule; convergence keeps inversions

    there = {name: open_results(places / "back" / f"{name}.nc").load() for name in NAMES}
    schedules = sections["learning_rate_schedules"]
    alone = schedules.model_copy(update=dict(cache=False)).dataset()
    xr.testing.assert_allclose(alone, there[schedules.name], rtol=1e-5, atol=1e-6)

    # Once more: all is noted, so what is lost is put together again, and what is there delivered.
    monkeypatch.setattr(work, "ProcessPoolExecutor", Inline)
    (places / "back" / "learning_rate_schedules.nc").unlink()
    sections["convergence"].output.unlink()
    note = places / "data/runs/gpu/jobs.txt"
    before = note.read_text().splitlines()
    said = []
    became = work.compute(
        sections.values(), places / "back", processes=1, budget=600, say=said.append
    )
    assert set(became.values()) == {"done"}
    after = note.read_text().splitlines()
    assert after[: len(before)] == before
    assert [key.split()[:2] for key in after[len(before) :]] == [["assembly", "convergence"]]
    assert open_results(places / "back" / "convergence.nc").equals(there["convergence"])
    assert (places / "back" / "learning_rate_schedules.nc").is_file()


@pytest.fixture
def inline(queue, monkeypatch, tmp_path):
    """Compute two toy sections with jobs that `do` does; return what became of them, and lines."""

    def run(do, processes=4):
        monkeypatch.setattr(work, "ProcessPoolExecutor", Inline)
        monkeypatch.setattr(work, "_do", do)
        monkeypatch.setattr(work, "_deliver", lambda *_: None)
        monkeypatch.setattr(work, "runs_root", lambda scale: tmp_path / scale)
        said = []
        became = work.compute(
            [Toy("a", 1), Toy("b", 2)], tmp_path, processes=processes, budget=60, say=said.append
        )
        return became, said

    return run


def test_an_error_is_said_and_the_job_tried_once_more(inline):
    asked = []

    def do(job):
        asked.append(job)
        return "no memory" if job.section == "a" and job.kind == "inversion" else None

    became, said = inline(do)
    assert became == {"a": "failed", "b": "done"}
    failures = [line for line in said if line.startswith("inversion a 0 failed")]
    assert failures == [
        f"inversion a 0 failed, {how}: no memory" for how in ("once more", "given up")
    ]


def test_a_killed_process_halves_their_number(inline):
    killed = []

    def do(job):
        if job.kind == "inversion" and len(killed) < 2:
            killed.append(job)
            raise BrokenProcessPool("killed")

    became, said = inline(do)
    assert set(became.values()) == {"done"}
    assert [line for line in said if "on with" in line] == ["a process was killed; on with 2"]


def test_one_process_that_is_killed_each_time_is_given_up(inline):
    def do(job):
        if job.kind == "inversion" and job.section == "a":
            raise BrokenProcessPool("killed")

    became, said = inline(do, processes=1)
    assert became == {"a": "failed", "b": "done"}


# ── One GPU ──────────────────────────────────────────────────────────────────────────────────────

SERVICE = """#!/bin/sh
[ "$1" = -d ] && { touch "$CUDA_MPS_PIPE_DIRECTORY/up"; echo started >> "$SAID"; exit 0; }
read word; echo "$word" >> "$SAID"
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A service that notes what it is told, and a card; computing works or fails as asked."""
    said, bin = tmp_path / "said", tmp_path / "bin"
    bin.mkdir()
    for name, text in ((sharing.CONTROL, SERVICE), ("nvidia-smi", "#!/bin/sh\n")):
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setenv("SAID", str(said))
    monkeypatch.delenv(sharing.PIPE, raising=False)
    return said


def test_the_service_is_started_and_stopped(service, monkeypatch):
    monkeypatch.setattr(sharing, "_COMPUTES", "")
    with sharing.shared_gpu() as runs:
        assert runs and os.path.isdir(os.environ[sharing.PIPE])
        assert service.read_text() == "started\n"
    assert service.read_text() == "started\nquit\n" and sharing.PIPE not in os.environ


def test_a_service_through_which_nothing_computes_is_stopped_at_once(service, monkeypatch):
    monkeypatch.setattr(sharing, "_COMPUTES", "raise SystemExit(1)")
    with sharing.shared_gpu() as runs:
        assert not runs and sharing.PIPE not in os.environ
        assert service.read_text() == "started\nquit\n"
    assert service.read_text() == "started\nquit\n"


def test_a_service_of_the_environment_is_left_alone(service, monkeypatch):
    monkeypatch.setenv(sharing.PIPE, "somewhere")
    with sharing.shared_gpu() as runs:
        assert runs
    assert not service.exists() and os.environ[sharing.PIPE] == "somewhere"


def test_an_error_stops_the_service_too(service, monkeypatch):
    monkeypatch.setattr(sharing, "_COMPUTES", "")
    with pytest.raises(KeyError), sharing.shared_gpu():
        raise KeyError
    assert service.read_text() == "started\nquit\n"


def test_processes_are_fewer_than_cores_and_fit_into_memory(service, monkeypatch):
    monkeypatch.setattr(work.os, "cpu_count", lambda: 16)
    memory = type("Memory", (), {"available": 10**12})
    monkeypatch.setattr(work.psutil, "virtual_memory", lambda: memory)
    free = service.parent / "bin" / "nvidia-smi"
    counts = []
    for megabytes in (80_000, 20_000, 100):
        free.write_text(f"#!/bin/sh\necho {megabytes}\n")
        counts.append(work.usual_processes())
    assert counts == [15, 4, 1]
