"""A sample of `tests.faults.flips`: no wrong value, no unclear error, no crash."""

import logging
import sys

import pytest

from invlib.results.netcdf import save_results
from tests.faults import flips
from tests.invlib.results.datasets import training

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork is POSIX")


@pytest.fixture(autouse=True)
def no_log():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_flipped_bit_is_told_or_made_good(tmp_path):
    counts, wrong = flips.flips(55, tmp_path, seed=1)
    assert not wrong
    assert {kind for kind, _ in counts} == {kind.name for kind in flips.KINDS}
    assert {outcome for _, outcome in counts} == {"unchanged", "made again", "refused"}


def test_a_flip_that_nobody_checks_is_seen_as_wrong(tmp_path):
    """The harness can fail: a reader that checks nothing gives another value."""
    path = tmp_path / "text"
    path.write_bytes(b"abc")
    kind = flips.Kind("bytes", "", "*", lambda folder, file: file.read_bytes())
    assert flips.in_child(kind, tmp_path, path, [b"abc"]) == "unchanged"
    assert flips.in_child(kind, tmp_path, path, [b"abd"]) == "silently wrong"
    unclear = flips.Kind("bytes", "", "*", lambda folder, file: {}["key"])
    assert flips.in_child(unclear, tmp_path, path, [b""]) == "unclear error"
    result = save_results(training(), tmp_path / "log.nc")
    result.write_bytes(result.read_bytes()[:-500])
    assert flips.in_child(flips.KINDS[-1], tmp_path, result, [b""]) == "refused"
