"""Records held against the code: who owns a method, equation comments, imports as lineage, the rooms of the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kb_tools.check.finished import check_finished
from kb_tools.code_facts import known
from kb_tools.errors import Problem
from kb_tools.layers import PACKAGE, WHY
from kb_tools.records.reader import Document
from kb_tools.records.store import Collection


def check_methods(collection: Collection, documents: list[Document]) -> Iterator[Problem]:
    """Problems between records and the files of implementations/, and among these."""
    folder = collection.root / PACKAGE
    owners: dict[str, Document] = {}
    for document in documents:
        module = document.string("implementation")
        if module is None:
            continue
        other = owners.setdefault(module, document)
        if other is not document:
            yield _at(
                document, "implementation", "implementation", f"{module} belongs to {other.path.stem}", "delete one"
            )
        elif not (folder / f"{module}.py").is_file():
            message = f"there is no {PACKAGE}/{module}.py"
            fix = f"`kb new-method {document.path.stem}` writes one, or delete the field"
            yield _at(document, "implementation", "implementation", message, fix)
    paths = {path.stem: path for path in sorted(folder.glob("[a-z]*.py"))}
    if not paths:
        return
    facts = known(collection.root, [module for module in paths if module in owners])
    for file, room, name, line, column in facts.strangers:
        fix = WHY.get(room, "move it")
        yield Problem(collection.root / file, line, column, "rooms", f"must not import {name}", fix=fix)
    unread = {document.path.stem for document in documents if document.data is None}
    for module, path in paths.items():
        if module not in owners:
            if module.replace("_", "-") in unread:
                continue  # its record cannot be read, and says so itself
            fix = f"write `implementation: {module}` in the record of its paper"
            yield Problem(path, 0, 0, "implementation", "is the method of no record", fix=fix)
            continue
        owner, one = owners[module], facts.methods[module]
        for file, line, why in one.broken:
            place = (line, 1) if line else (0, 0)
            yield Problem(collection.root / file, *place, "python", f"is not Python: {why}", fix="mend it")
        if not any(file == f"{PACKAGE}/{path.name}" for file, _, _ in one.broken):
            yield from _check_equations(path, owner, one.equations)
            yield from _check_imports(path, owner, one.imports, owners)
        yield from _check_demos(folder / "demos" / path.name, owner, one.demos, owners)
        yield from check_finished(collection.root, module, owner, one)


def _check_equations(path: Path, document: Document, cited: dict[str, list[int]]) -> Iterator[Problem]:
    declared = (document.data or {}).get("equations")
    declared = declared if isinstance(declared, dict) else {}
    for number in declared:
        if number not in cited:
            line, column = document.where(("equations", number))
            yield Problem(
                document.path,
                line,
                column,
                "equation",
                f"equations: no comment `# Eq. {number}` in {PACKAGE}/{path.name}",
                fix="put the comment on the line that implements it, or delete the equation here",
            )
    for number, lines in cited.items():
        if number not in declared:
            yield Problem(
                path,
                lines[0],
                1,
                "equation",
                f"Eq. {number} is not among the equations of {document.path.stem}",
                fix=f'add "{number}": {{tex: ..., says: ...}} to the record',
            )


def _check_imports(
    path: Path, document: Document, imports: list[list], owners: dict[str, Document]
) -> Iterator[Problem]:
    """Imports are lineage: what a method imports from another method's file, its paper builds on."""
    built_on = document.strings("builds_on")
    for module, line, column in imports:
        other = owners.get(module)
        if other is not None and other is not document and other.path.stem not in built_on:
            yield Problem(
                path,
                line,
                column,
                "lineage",
                f"imports {PACKAGE}.{module}, but {document.path.stem} does not build on {other.path.stem}",
                fix=f"add {other.path.stem} to builds_on of {document.path.stem}, or do without the import",
            )


def _check_demos(path: Path, document: Document, demos: list[list], owners: dict[str, Document]) -> Iterator[Problem]:
    """A demo takes from another method's demo only where its paper builds on that one, directly or not."""
    by_id = {owner.path.stem: owner for owner in owners.values()}
    below, queue = {document.path.stem}, [document]
    for one in queue:
        fresh = [ident for ident in one.strings("builds_on") if ident not in below]
        below.update(fresh)
        queue += [by_id[ident] for ident in fresh if ident in by_id]
    for module, line, column in demos:
        other = owners.get(module)
        if other is not None and other.path.stem not in below:
            message = f"takes from the demo of {module}, but {document.path.stem} does not build on {other.path.stem}"
            yield Problem(path, line, column, "lineage", message, fix="move what both need beside the demos")


def _at(document: Document, field: str, code: str, message: str, fix: str) -> Problem:
    return Problem(document.path, *document.where((field,)), code, f"{field}: {message}", fix=fix)
