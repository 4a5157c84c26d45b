"""What a finished method has, beside its file: a demo, tests, evidence that holds, planted bugs that are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kb_tools.errors import Problem
from kb_tools.methods.code_facts import Facts
from kb_tools.methods.layers import PACKAGE
from kb_tools.records.reader import Document

LINES = 150  # of code, in a method's file
SEEDS = 10
SPREADS = 4  # standard deviations between the value of a claim and its bound
SECONDS = 40  # a demo on two cores, beside networks that were trained before
SECONDS_COLD = 70  # and with them


def check_finished(root: Path, module: str, document: Document, facts: Facts) -> Iterator[Problem]:
    """What is missing, or too weak, of one method, each with what mends it."""
    slug = module.replace("_", "-")
    method = root / PACKAGE / f"{module}.py"
    if facts.lines > LINES and not facts.says_why:
        fix = "leave to the demo and to common/ what the paper did not add, or say `Long because ...` in its docstring"
        yield Problem(method, 0, 0, "length", f"has {facts.lines} lines of code, more than {LINES}", fix=fix)
    new = f"`kb new-method {document.path.stem}` writes what is missing, and no more"
    for path, code in (
        (root / PACKAGE / "demos" / f"{module}.py", "demo"),
        (root / "tests" / PACKAGE / f"test_{module}.py", "tests"),
    ):
        if not path.is_file():
            message = f"{module} has no {path.relative_to(root).as_posix()}"
            yield _at(document, code, message, new)
    if facts.unwritten:
        message = f"{', '.join(facts.unwritten)}: not written yet"
        yield _at(document, "unwritten", message, "write the method and its tests; what measures them comes after")
        return
    verify = f"run `kb verify {slug} --seeds {SEEDS} --record`"
    if facts.unreadable is not None:
        path = root / PACKAGE / "evidence" / f"{slug}.yaml"
        yield Problem(path, 0, 0, "evidence", facts.unreadable.partition(": ")[2], fix=verify)
    if facts.stale is not None:
        # The reason ends with the remedy, which has its own column here.
        yield _at(document, "evidence", facts.stale.partition(": run `")[0], verify)
    elif facts.entries:
        from implementations.verification.evidence.store import own_entry

        for message, fix in _weaknesses(own_entry(facts.entries, slug), verify):
            yield _at(document, "claim", message, fix)
    for reason in facts.bugs:
        message, _, remedy = reason.partition(": run `")
        fix = f"run `{remedy}" if remedy else f"write the test that sees it, then run `make mutants METHODS={slug}`"
        yield _at(document, "bugs", message, fix)


def _weaknesses(entry: Mapping[str, Any], verify: str) -> Iterator[tuple[str, str]]:
    if len(set(entry.get("seeds", []))) < SEEDS:
        yield f"measured on {len(set(entry.get('seeds', [])))} seeds, not {SEEDS}", verify
    own = entry.get("seconds", 0)
    cold = own + sum(base.get("training_seconds", 0) for base in entry.get("bases", []))
    quiet = "measure it on two cores that do nothing else; if it is still slow, train or sample less"
    if own > SECONDS:
        yield f"the demo took {own:.0f} s on the clock, more than {SECONDS}", quiet
    elif cold > SECONDS_COLD:
        yield f"the demo and the networks it loads took {cold:.0f} s on the clock, more than {SECONDS_COLD}", quiet
    for claim in entry.get("claims", []):
        for message in _of_claim(claim):
            yield message, "another bound, more samples or training, a harder control, or another claim; then " + verify


def _of_claim(claim: Mapping[str, Any]) -> Iterator[str]:
    """Why a claim does not stand, with the seed that says so."""
    name, bound, sd = claim["name"], claim["bound"], claim.get("sd", 0)
    towards = 1 if claim["relation"] == "<=" else -1
    limit = f"{claim['relation']} {bound:.4g}"
    if "worst" not in claim:  # of an older kind
        if not claim["holds"]:
            yield f"the recorded claim fails: {name}"
        return
    of_value, of_control = (f" (seed {claim[key]})" if key in claim else "" for key in ("worst_seed", "control_seed"))
    if not towards * (bound - claim["worst"]) >= 0:
        yield f"{name}: the value {claim['worst']:.4g}{of_value} is not {limit}"
    elif not towards * (bound - claim["value"]) >= SPREADS * sd:
        apart = towards * (bound - claim["value"]) / sd
        yield f"{name}: {apart:.1f} standard deviations from its bound ({limit}), not {SPREADS}"
    if not towards * (claim["control_best"] - bound) > 0:
        yield f"{name}: the control {claim['control_best']:.4g}{of_control} passes {limit} too"


def _at(document: Document, code: str, message: str, fix: str) -> Problem:
    return Problem(document.path, *document.where(("implementation",)), code, message, fix=fix)
