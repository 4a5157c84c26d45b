"""What became of the works of a wild file: found, named in the report, lost, made up, or given wrong people."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.wild.truth import Truth, Wild


@dataclass
class Verdict:
    """Counts over the works of one kind; `faults` says in words what was wrong with which."""

    works: int = 0
    found: int = 0
    ids: int = 0
    ids_found: int = 0
    people: int = 0
    people_found: int = 0
    years: int = 0
    years_found: int = 0
    reported: int = 0
    silent: int = 0
    invented: int = 0
    wrong_people: int = 0
    faults: list[str] = field(default_factory=list)

    def __iadd__(self, other: Verdict) -> Verdict:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


def imported(wild: Wild) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the report of `kb import`, and the records that it wrote, read without kb's reader."""
    from kb_tools.cli import main

    with tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder) / "kb", Path(folder) / wild.name
        file.write_bytes(wild.content)
        out, talk = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
            main(["init", str(root)])
            out.truncate(out.seek(0))
            main(["-C", str(root), "import", str(file), "--json"])
        rows = json.loads(out.getvalue())["data"] if out.getvalue().strip() else []
        files = [root / row["path"] for row in rows if row["written"]]
        return rows, [yaml.load(path.read_bytes(), yaml.CBaseLoader) for path in files]


def judged(wild: Wild, rows: list[dict[str, Any]], records: list[dict[str, Any]]) -> Verdict:
    """A record belongs to a work by its title; one with another title by the line that its row names."""
    verdict = Verdict()
    by_path = {record["id"]: record for record in records}
    titles: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        titles.setdefault(record["title"], []).append(record)
    taken: set[str] = set()
    for truth in wild.truths:
        near = [row for row in rows if truth.first <= row["line"] <= truth.last]
        same = [one for one in titles.get(truth.title, []) if one["id"] not in taken]
        same.sort(key=lambda one: one.get("arxiv") != truth.arxiv)
        record = next(iter(same), None)
        verdict.works += not truth.damaged
        if record is None:
            record = next((by_path[row["id"]] for row in near if row["id"] in by_path and row["id"] not in taken), None)
            _missing(verdict, truth, near, record)
            if record is not None:
                taken.add(record["id"])
            continue
        taken.add(record["id"])
        verdict.found += not truth.damaged
        said = [remark for row in rows if row["id"] == record["id"] for remark in row["remarks"]]
        said += [remark for row in near for remark in row["remarks"]]
        _fields(verdict, truth, record, said)
    for record in records:
        if record["id"] not in taken:
            verdict.invented += 1
            verdict.faults.append(f"invented: {record['title']!r}")
    return verdict


def _missing(verdict: Verdict, truth: Truth, near: list[dict[str, Any]], record: Mapping[str, Any] | None) -> None:
    named = [row for row in near if row["status"] in ("refused", "not read") or row["remarks"] or row["taken_for"]]
    what = f"line {truth.first}: {truth.title!r}"
    if record is not None and not named:
        verdict.silent += 1
        verdict.faults.append(f"{what} became {record['title']!r} in silence")
    elif not named:
        verdict.silent += 1
        verdict.faults.append(f"{what} is lost in silence")
    else:
        verdict.reported += 1
        if not truth.damaged:
            became = record["title"] if record is not None else None
            verdict.faults.append(
                f"{what} is not there, {became!r}: {[(row['status'], row['remarks']) for row in named]}"
            )
    if not truth.damaged:
        verdict.ids += truth.arxiv is not None
        verdict.people += len(truth.authors)
        verdict.years += truth.year is not None


def _fields(verdict: Verdict, truth: Truth, record: Mapping[str, Any], said: list[str]) -> None:
    what, whole = f"line {truth.first}: {truth.title!r}", not truth.damaged
    arxiv, authors = record.get("arxiv"), list(record.get("authors") or [])
    if whole and truth.arxiv is not None:
        verdict.ids += 1
        verdict.ids_found += arxiv == truth.arxiv
    if arxiv != truth.arxiv and not (truth.damaged and said):
        verdict.silent += not any("arXiv" in remark for remark in said) and truth.arxiv is not None
        verdict.faults.append(f"{what} has the arXiv id {arxiv}, not {truth.arxiv}: {said}")
    if whole and truth.year is not None:
        verdict.years += 1
        verdict.years_found += str(truth.year) == record.get("year")
    if str(truth.year or "") != (record.get("year") or "") and not said and truth.year is not None:
        verdict.silent += 1
        verdict.faults.append(f"{what} has the year {record.get('year')}, not {truth.year}")
    right = [name for name in truth.authors if name in authors]
    certain = whole and not truth.unsure
    verdict.people += len(truth.authors) if certain else 0
    verdict.people_found += len(right) if certain else 0
    if truth.others and not any("not all authors" in remark for remark in said):
        verdict.silent += 1
        verdict.faults.append(f"{what}: nothing says that more authors are meant")
    if authors != truth.authors and not said:
        verdict.wrong_people += any(name not in truth.authors for name in authors)
        verdict.silent += len(right) < len(truth.authors)
        verdict.faults.append(f"{what} is by {authors}, not {truth.authors}, in silence")
    elif authors != truth.authors and certain:
        verdict.faults.append(f"{what} is by {authors}, not {truth.authors}: {said}")
