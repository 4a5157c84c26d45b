"""Every problem of every file in one pass, always in the same order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kb_tools.check import files, methods, outside, relations, showcases, wording
from kb_tools.errors import Problem
from kb_tools.records.notes import notes_path
from kb_tools.records.settings import settings_document
from kb_tools.records.store import Collection


def check(collection: Collection) -> list[Problem]:
    """All problems of a collection, by path, line and column.  Changes no file."""
    documents = list(collection.documents())
    topics = files.topics_document(collection)
    works = files.outside_document(collection)
    problems = [
        *files.check_files(collection, documents, [topics, works]),
        *files.check_marks(collection),
        *files.check_notes(collection, documents),
        *relations.check_relations(documents, topics),
        *outside.check_outside(works, documents),
        *methods.check_methods(collection, documents),
        *showcases.check_showcases(collection.root),
        *wording.check_wording(documents, topics),
    ]
    for document in (*documents, topics, works, settings_document(collection.root)):
        problems += document.problems
    unique = {
        (str(problem.path), problem.line, problem.column, problem.code, problem.message): problem
        for problem in problems
    }
    return [unique[key] for key in sorted(unique)]


def files_of(collection: Collection, ident: str) -> set[Path]:
    """Every file that is about one record: its own, and those of its method if it has one."""
    module = ident.replace("-", "_")
    found = {collection.papers / f"{ident}.yaml", collection.papers / "resources" / f"{ident}.yaml"}
    for document in collection.documents():
        if document.path in found:
            module = document.string("implementation") or module
    code, tests, slug = collection.root / methods.PACKAGE, collection.root / "tests" / methods.PACKAGE, ident
    return found | {
        notes_path(collection.papers, ident),
        code / f"{module}.py",
        code / "demos" / f"{module}.py",
        code / "evidence" / f"{slug}.yaml",
        code / "evidence" / f"{slug}.bugs.yaml",
        code / "evidence" / f"{slug}.showcase.yaml",
        tests / f"test_{module}.py",
        tests / "bugs" / f"{slug}.yaml",
    }


def about(problems: list[Problem], paths: Iterable[Path]) -> list[Problem]:
    """Those of the problems that stand in one of these files."""
    wanted = set(paths)
    return [problem for problem in problems if problem.path in wanted]
