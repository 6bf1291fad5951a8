"""Run mutmut with tests collected once: ``python tests/mutants/run.py [mutants]``.

mutmut forks for each mutant and starts pytest in the fork. A test that kills takes some 10 ms, but
pytest takes a second to read its settings, collect, and collect garbage at the end. Here the tests
are collected before the fork, and the fork runs those that reach the mutant, the quickest first,
until one fails. Its name is kept in mutants/killers.txt, beside that of the mutant: a test that
kills what it cannot know of is broken here, and its kills are none.

mutmut gives each mutant the docstring of its function, whose examples would so be collected some
hundred times. They are looked for in the function alone.

A script, and no module of the package `tests`: mutmut works on a copy of that, and it is the copy
that has to be imported.
"""

from __future__ import annotations

import doctest
import sys
from collections.abc import Iterable
from itertools import zip_longest

import mutmut.workers.isolation
import pytest
from _pytest.config import _prepareconfig
from mutmut.__main__ import cli
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.runners.harness import PytestRunner
from mutmut.utils.file_utils import change_cwd
from mutmut.workers.isolation import run_in_fork

OPTIONS = "--rootdir=. --capture=no -p no:terminal -o tmp_path_retention_policy=none".split()


class CollectedOnce(PytestRunner):
    """A runner that collects its tests when it first runs some, and forks with them."""

    def __init__(self) -> None:
        super().__init__()
        self.session: pytest.Session | None = None
        self.items: dict[str, pytest.Item] = {}
        self.names: dict[str, dict[str, object]] = {}  # what the examples of a test can see

    def collect(self) -> None:
        settings = config()
        selection = settings.pytest_add_cli_args_test_selection
        started = _prepareconfig([*OPTIONS, *settings.pytest_add_cli_args, *selection])
        # Other tracebacks parse the file with all mutants, some 40,000 lines, for each failure.
        started.option.tbstyle = "native"
        started._do_configure()
        self.session = pytest.Session.from_config(started)
        started.hook.pytest_sessionstart(session=self.session)
        started.hook.pytest_collection(session=self.session)
        self.items = {item.nodeid: item for item in self.session.items}
        self.names = {
            test: dict(item.dtest.globs)
            for test, item in self.items.items()
            if isinstance(item, pytest.DoctestItem)
        }

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        """Return 1 if a test fails, else 0; the tests come in the order of their duration."""
        with change_cwd("mutants"):
            if self.session is None:
                self.collect()
            self.session.testsfailed, self.session.shouldfail = 0, False
            items = [self.items[test] for test in tests or self.items]
            for item in items:
                if item.nodeid in self.names:  # an example that has run has none of its names left
                    item.dtest.globs = dict(self.names[item.nodeid])
            for item, following in zip_longest(items, items[1:]):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.session.testsfailed:
                    with open("killers.txt", "a") as killers:
                        print(mutant_name, item.nodeid, file=killers)
                    self.session._setupstate.teardown_exact(None)
                    return 1
        return 0

    def run_forced_fail(self) -> int:
        """Return 1 if the tests fail where they must; unchanged code has to pass in a fork."""
        forced = super().run_forced_fail()
        set_mutant_under_test("")
        first, *_, last = self.items
        if run_in_fork(self.run_tests, mutant_name=None, tests=[first, last]):
            raise SystemExit("a test of unchanged code fails in a fork: each mutant would, too")
        return forced


def without_mutants(find):
    """Return a search for examples that passes over the mutants of a function."""

    def find_unless_mutant(self, tests, obj, name, *rest):
        if "__mutmut_" not in name:
            find(self, tests, obj, name, *rest)

    return find_unless_mutant


if __name__ == "__main__":
    doctest.DocTestFinder._find = without_mutants(doctest.DocTestFinder._find)
    mutmut.workers.isolation.PytestRunner = CollectedOnce
    cli(["run", *sys.argv[1:]])
