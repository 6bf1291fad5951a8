"""Importing the papers sets how threads wait, before torch is there to read it."""

import os
import subprocess
import sys

import pytest

SEEN = "import sys, os, papers; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("own", "seen"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")]
)
def test_waiting_threads_give_their_core_away_unless_the_user_says_otherwise(own, seen):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | own
    out = subprocess.run([sys.executable, "-c", SEEN], env=environment, capture_output=True,
                         text=True, check=True)  # fmt: skip
    assert out.stdout.split() == [seen, "False"]
