"""Records held against the code: implementations, equation comments, imports as lineage, evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kb_tools.code_facts import PACKAGE, Facts, facts_of
from kb_tools.errors import Problem
from kb_tools.records.reader import Document
from kb_tools.records.store import Collection


def check_methods(collection: Collection, documents: list[Document]) -> Iterator[Problem]:
    """Problems between records and the files of implementations/."""
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
            yield _at(document, "implementation", "implementation", message, "write it, or delete the field")
    paths = {path.stem: path for path in sorted(folder.glob("[a-z]*.py"))}
    facts = facts_of(collection.root, [module for module in paths if module in owners]) if paths else {}
    for module, path in paths.items():
        if module not in owners:
            fix = f"write `implementation: {module}` in the record of its paper"
            yield Problem(path, 0, 0, "implementation", "is the method of no record", fix=fix)
            continue
        owner, known = owners[module], facts[module]
        for file, line, why in known.broken:
            place = (line, 1) if line else (0, 0)
            yield Problem(collection.root / file, *place, "python", f"is not Python: {why}", fix="mend it")
        if not any(file == f"{PACKAGE}/{path.name}" for file, _, _ in known.broken):
            yield from _check_equations(path, owner, known.equations)
            yield from _check_imports(path, owner, known.imports, owners)
        yield from _check_evidence(collection.root, module, owner, known)


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


def _check_evidence(root: Path, module: str, document: Document, facts: Facts) -> Iterator[Problem]:
    fix = f"run `kb verify {document.path.stem} --record`"
    if facts.unreadable is not None:
        path = root / PACKAGE / "evidence" / f"{module.replace('_', '-')}.yaml"
        yield Problem(path, 0, 0, "evidence", facts.unreadable.partition(": ")[2], fix=fix)
    if facts.stale is not None:
        # The reason ends with the remedy, which has its own column here.
        yield _at(document, "implementation", "evidence", facts.stale.partition(": run `")[0], fix)
    for claim in facts.failing:
        yield _at(document, "implementation", "claim", f"the recorded claim fails: {claim}", fix)


def _at(document: Document, field: str, code: str, message: str, fix: str) -> Problem:
    return Problem(document.path, *document.where((field,)), code, f"{field}: {message}", fix=fix)
