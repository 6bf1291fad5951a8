"""Training is killed without warning, at random moments and around every write, and goes on.

One driver process imports everything once and forks a child for every attempt: what is killed is a
whole process, with SIGKILL, and the next attempt knows only what is on disk.
"""

import json
import subprocess
import sys

import pytest

DRIVER = """
import hashlib, json, os, random, signal, sys, threading, time, traceback
from pathlib import Path

import torch

torch.set_num_threads(1)
from invlib.training.checkpoints import Trained
from invlib.training.run import TrainingRun
from invlib.training.train import train

RANDOM = random.Random(0)


def tiny(**kwargs):
    return TrainingRun(
        model="vit_pico_patch8_32", dataset="digits", n_train=90, n_test=30, batch_size=32,
        epochs=3, optimizer="adamw", lr=3e-3, warmup_steps=2, **kwargs
    )


def attempt(run, root, *, die_at_write=None, die_after=None):
    '''Train in a child process; return its seconds of CPU if it lived to the end, else 0.'''
    child = os.fork()
    if child == 0:
        try:
            if die_at_write is not None:
                die_at(*die_at_write)
            if die_after is not None:
                threading.Thread(target=die_in, args=[die_after], daemon=True).start()
            train(run, root=root, device="cpu")
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return 0 if os.WIFSIGNALED(status) else used.ru_utime + used.ru_stime


def die_in(seconds):
    '''Kill this process, whatever it is doing, when it has used so much CPU time.'''
    while time.process_time() < seconds:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(count, before):
    '''Kill this process at its count-th flush or rename: before it, or right after it.'''
    calls = 0

    def deadly(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == count and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    os.fsync, os.replace = deadly(os.fsync), deadly(os.replace)


def digest(run, root):
    '''Everything a reader of the runs can see, times aside.'''
    seen = {}
    for part in (run.parent, run):
        trained = Trained(part, root / part.id)
        assert trained.complete
        seen[part.task] = {
            "files": sorted(p.name for p in trained.path.iterdir()),
            "weights": {
                epoch: hashlib.sha256(trained.checkpoint(epoch).read_bytes()).hexdigest()
                for epoch in trained.epochs
            },
            "log": {
                name: repr(values["data"])  # as text: NaN is not equal to itself
                for name, values in trained.log.to_dict()["data_vars"].items()
                if name != "epoch_time"
            },
        }
    return seen


def story(keep, root):
    run = tiny(seed=1, task="reconstruction", keep=keep, weights=tiny(keep=keep))
    train(run, root=root / "undisturbed", device="cpu")  # also imports what is imported late
    whole = attempt(run, root / "undisturbed_too")
    assert whole
    kills = {"at_random": 0, "around_writes": 0}
    while kills["at_random"] < 4 and not attempt(
        run, root / "at_random", die_after=RANDOM.uniform(0.1, 0.7) * whole
    ):
        kills["at_random"] += 1
    assert attempt(run, root / "at_random")
    # Three calls write run.json and six store an epoch: whoever dies later than that has moved on,
    # and the chain of attempts ends.
    while not attempt(
        run, root / "around_writes", die_at_write=(RANDOM.randint(3, 14), RANDOM.random() < 0.5)
    ):
        kills["around_writes"] += 1
        assert kills["around_writes"] < 50, "no progress"
    names = ("undisturbed", "undisturbed_too", "at_random", "around_writes")
    return {"kills": kills} | {name: digest(run, root / name) for name in names}


print(json.dumps({keep: story(keep, Path(sys.argv[1]) / keep) for keep in ("all", "ends")}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")
def test_killed_training_ends_in_the_bits_of_an_undisturbed_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for keep, seen in json.loads(done.stdout.splitlines()[-1]).items():
        kills, want = seen.pop("kills"), seen["undisturbed"]
        assert kills["at_random"] >= 1 and kills["around_writes"] >= 3
        for part in want.values():
            kept = ["0", "1", "2", "3"] if keep == "all" else ["0", "3"]
            assert list(part["weights"]) == kept and "test_loss" in part["log"]
            assert {"log.nc", "done.json", "run.json"} <= set(part["files"])
        for name, found in seen.items():
            assert found == want, f"keep={keep!r}: {name} differs"
