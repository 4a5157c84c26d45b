"""Each mutant in a forked process, under limits, in an order that ends soon; what is known is not run again.

A fork has torch, pytest and all else the tests import already loaded, so that a mutant costs about as much as the tests
themselves.  The test that killed a mutant when it last ran goes first, then the quick ones: the first failure ends a
run.  The mutated tree is compiled in memory and handed to `import` under the module's own name: no file of the project
is touched, and whatever imports the module gets the mutant.  A mutant is killed when a test fails, when the module no
longer imports, or when the tests take far longer than they should.

Outcomes are kept in build/mutants/ as they come.  A run that was cut short goes on where it stopped, as long as nothing
changed that an outcome depends on.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import IO, Any

import pytest
import torch

from implementations.verification.code_hash import PACKAGE, ROOT
from implementations.verification.mutants.modules import MutantError
from implementations.verification.mutants.plan import Plan, plan


@dataclass(frozen=True)
class Outcome:
    """killed_by: a test, "import", "time limit" or "crash"; empty if it survived."""

    killed_by: str
    seconds: float


class _Planted(SourceFileLoader, MetaPathFinder):
    """Imports one module from a syntax tree instead of its file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self.tree = tree

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


@dataclass(frozen=True)
class Order:
    """Which tests come first, to see a mutant fail soon.  seconds: of each test; killers: mutant -> test, last time."""

    seconds: dict[str, float] = field(default_factory=dict)
    killers: dict[str, str] = field(default_factory=dict)

    def rank(self, mutant: str, test: str) -> tuple[bool, float]:
        return test != self.killers.get(mutant), self.seconds.get(test, 0.0)


def _short(nodeid: str) -> str:
    return nodeid.rsplit("/", 1)[-1]


class _Witness:
    """A pytest plugin that puts tests in order, and remembers what ran, how long, and the first thing that failed."""

    def __init__(self, rank: Callable[[str], Any]) -> None:
        self.rank = rank
        self.passed, self.failed = 0, ""
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.rank(_short(item.nodeid)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = _short(report.nodeid)
        if report.failed and not self.failed:
            self.failed = test
        self.passed += report.passed and report.when == "call"
        self.seconds[test] = self.seconds.get(test, 0.0) + report.duration

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = "import"


@dataclass(frozen=True)
class Limits:
    """cpu, wall: seconds after which the kernel ends a run."""

    cpu: int
    wall: int


def _start(
    job: Plan, tree: ast.Module | None, limits: Limits, root: Path, rank: Callable[[str], Any] = lambda test: 0
) -> tuple[int, IO[str]]:
    """Fork a process that runs the tests, least rank first, with a tree planted (None: the module as it is).

    Returns its pid, and the nameless file it leaves its report in: unlike a pipe, it never makes the writer wait.
    """
    notes = tempfile.TemporaryFile("w+")  # noqa: SIM115 - both processes hold it; the parent closes it in _finish
    gc.freeze()  # pytest collects garbage five times over: spare the child all that is loaded by now
    pid = os.fork()
    if pid:
        return pid, notes
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu, limits.cpu))
    signal.alarm(limits.wall)
    torch.set_num_threads(1)
    for name in [n for n in sys.modules if n.split(".")[0] == PACKAGE]:
        del sys.modules[name]  # so that the tests import afresh, through the finder
    sys.path.insert(0, str(root))
    if tree is not None:
        sys.meta_path.insert(0, _Planted(f"{PACKAGE}.{job.module}", job.path, tree))
    witness = _Witness(rank)
    # Plugins and the rewriting of assert statements, which only explains a failure, would cost more than the tests.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = [
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "--assert=plain",
        "--tb=no",
        "--rootdir",
        str(root),
    ]
    code = pytest.main([*options, *map(str, job.tests)], plugins=[witness])
    loaded = sorted(n for n in sys.modules if n.split(".")[0] not in (PACKAGE, "tests", "conftest", "__main__"))
    report = {"code": int(code), "passed": witness.passed, "failed": witness.failed}
    if tree is None:
        report |= {"loaded": loaded, "seconds": witness.seconds}
    json.dump(report, notes)
    notes.flush()
    os._exit(0)


def _finish(pid: int, status: int, notes: IO[str]) -> dict[str, Any]:
    """What a run said, or how it ended when it could say nothing.  Ends whatever it had started itself."""
    with notes:
        notes.seek(0)
        said = notes.read()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        slow = ended in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL)
        return {"code": 1, "failed": "time limit" if slow else "crash"}
    return json.loads(said) if said else {"code": 1, "failed": "crash"}


def baseline(job: Plan, root: Path = ROOT) -> tuple[float, dict[str, float]]:
    """Run the tests on the module as it is, and load here what they loaded.

    Returns their CPU seconds, and the seconds of each.  Raises MutantError unless they pass.
    """
    pid, notes = _start(job, None, Limits(600, 1200), root)
    _, status, _ = os.wait4(pid, 0)
    report = _finish(pid, status, notes)
    if report["code"] != 0 or not report["passed"]:
        what = report["failed"] or f"pytest ended with {report['code']} after {report['passed']} tests"
        raise MutantError(f"the fast tests of {job.module} must pass before anything is planted: {what}")
    for name in report["loaded"]:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # a name that its package made up; only speed is at stake
    pid, notes = _start(job, None, Limits(600, 1200), root)  # again, warm: this is what a mutant costs
    _, status, usage = os.wait4(pid, 0)
    report = _finish(pid, status, notes)
    return usage.ru_utime + usage.ru_stime, report.get("seconds", {})


def limits(seconds: float) -> Limits:
    """Generous for tests that take this much CPU time unharmed: a loaded machine must not look like a kill."""
    return Limits(cpu=int(4 * seconds) + 5, wall=int(20 * seconds) + 60)


def run(
    job: Plan, names: Sequence[str], allowed: Limits, jobs: int = 1, root: Path = ROOT, order: Order = Order()
) -> Iterator[tuple[str, Outcome]]:
    """Plant each, `jobs` at a time, and yield outcomes as they come."""
    waiting, running = list(reversed(names)), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop()
                pid, notes = _start(job, job.planted[name][1](), allowed, root, partial(order.rank, name))
                running[pid] = name, notes
            pid, status, usage = os.wait4(-1, 0)
            name, notes = running.pop(pid)
            report = _finish(pid, status, notes)
            if report["code"] not in (0, 1, 2):
                raise MutantError(f"pytest could not run the tests of {job.module} (exit {report['code']}) with {name}")
            killed_by = "" if report["code"] == 0 else report["failed"]
            yield name, Outcome(killed_by, round(usage.ru_utime + usage.ru_stime, 2))
    finally:
        for pid in running:  # interrupted: children have process groups of their own, so Ctrl-C reached only us
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


# What is kept


def _kept(job: Plan, root: Path) -> tuple[dict[str, Any], dict[str, Outcome]]:
    """Of an earlier run, its head (key; killers, of the runs before it) and its outcomes; nothing if there was none."""
    path = _state(job, root)
    if not path.is_file():
        return {}, {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be half a line
    if not rows:
        return {}, {}
    return rows[0], {row["mutant"]: Outcome(row["killed_by"], row["seconds"]) for row in rows[1:]}


def _killers(job: Plan, root: Path) -> dict[str, str]:
    """Mutant -> the test that killed it when it last ran, whatever has changed since."""
    head, before = _kept(job, root)
    return head.get("killers", {}) | {name: o.killed_by for name, o in before.items() if o.killed_by}


def resume(job: Plan, root: Path = ROOT) -> dict[str, Outcome]:
    """Outcomes of an earlier run that was cut short, if nothing they depend on has changed since."""
    head, known = _kept(job, root)
    return known if head.get("key") == job.key else {}


def outcomes(
    job: Plan, *, limit: int | None = None, jobs: int = 1, fresh: bool = False, root: Path = ROOT
) -> dict[str, Outcome]:
    """Run what has not been run.  limit: only so many, spread evenly over the file."""
    killers = _killers(job, root)
    known = {} if fresh else resume(job, root)
    names = list(job.planted)
    if limit is not None and limit < len(names):
        names = [names[k * len(names) // limit] for k in range(limit)]
    left = [name for name in names if name not in known]
    path = _state(job, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"key": job.key, "killers": killers}, *({"mutant": n, **vars(o)} for n, o in known.items())]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if left:
        seconds, each = baseline(job, root)
        order = Order(each, killers)
        print(f"{job.module}: {len(left)} mutants to run, about {len(left) * seconds / jobs / 60:.1f} min", flush=True)
        with path.open("a", encoding="utf-8") as state:
            for done, (name, outcome) in enumerate(run(job, left, limits(seconds), jobs, root, order), start=1):
                known[name] = outcome
                state.write(json.dumps({"mutant": name, **vars(outcome)}) + "\n")
                state.flush()
                if not outcome.killed_by and name not in job.equivalent:
                    print(f"  [{done}/{len(left)}] survived, line {job.planted[name][0]}: {name}", flush=True)
    return {name: known[name] for name in names}


def unchanged(job: Plan, root: Path = ROOT) -> None:
    """Every mutant ran the tests as they lay on the disk then: MutantError if what an outcome depends on is another."""
    if plan(job.module, root).key != job.key:
        head = {"key": "void", "killers": _killers(job, root)}  # though the text may come back, those outcomes may not
        _state(job, root).write_text(json.dumps(head) + "\n", encoding="utf-8")
        raise MutantError(f"{job.module}: its code or its tests changed during the run: run it again")


def _state(job: Plan, root: Path) -> Path:
    return root / "build" / "mutants" / f"{job.module}.jsonl"
