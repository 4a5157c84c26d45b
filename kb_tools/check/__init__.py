"""Every problem of every file in one pass, always in the same order."""

from __future__ import annotations

from kb_tools.check import files, methods, outside, relations
from kb_tools.errors import Problem
from kb_tools.records.store import Collection


def check(collection: Collection) -> list[Problem]:
    """All problems of a collection, by path, line and column.  Changes no file."""
    documents = list(collection.documents())
    topics = files.topics_document(collection)
    works = files.outside_document(collection)
    problems = [
        *files.check_files(collection, documents, [topics, works]),
        *files.check_marks(collection),
        *relations.check_relations(documents, topics),
        *outside.check_outside(works, documents),
        *methods.check_methods(collection, documents),
    ]
    for document in (*documents, topics, works):
        problems += document.problems
    unique = {
        (str(problem.path), problem.line, problem.column, problem.code, problem.message): problem
        for problem in problems
    }
    return [unique[key] for key in sorted(unique)]
