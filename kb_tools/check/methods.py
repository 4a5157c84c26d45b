"""Records held against the code: who owns a method, anchors, imports as lineage, the rooms of the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kb_tools.check.finished import check_finished
from kb_tools.errors import Problem
from kb_tools.methods.code_facts import Facts, known
from kb_tools.methods.equations import SECTION, names_in
from kb_tools.methods.layers import PACKAGE, WHY
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
            yield from _check_equations(path, owner, one)
            yield from _check_algorithms(path, owner, one)
            yield from _check_symbols(path, owner, one)
            yield from _check_imports(path, owner, one.imports, owners)
        yield from _check_demos(folder / "demos" / path.name, owner, one.demos, owners)
        yield from check_finished(collection.root, module, owner, one)


def _check_equations(path: Path, document: Document, facts: Facts) -> Iterator[Problem]:
    fix = "put the comment on the line that implements it, or delete the equation here"
    for number in _declared(document, "equations", facts.equations | facts.sections):
        message = f"equations: no comment {_comment('Eq.', number)} in {PACKAGE}/{path.name}"
        yield Problem(document.path, *document.where(("equations", number)), "equation", message, fix=fix)
    for number, lines in facts.equations.items():
        if number not in _mapping(document, "equations"):
            message = f"Eq. {number} is not among the equations of {document.path.stem}"
            fix = f'add "{number}": {{tex: ..., says: ...}} to the record'
            yield Problem(path, lines[0], 1, "equation", message, fix=fix)


def _check_algorithms(path: Path, document: Document, facts: Facts) -> Iterator[Problem]:
    fix = "put the comment on the `def` of the function that implements it, or delete the algorithm here"
    for number in _declared(document, "algorithms", facts.algorithms):
        message = f"algorithms: no comment {_comment('Alg.', number)} on a `def` of {PACKAGE}/{path.name}"
        yield Problem(document.path, *document.where(("algorithms", number)), "algorithm", message, fix=fix)
    for number, lines in facts.algorithms.items():
        # A section on a `def` may be what an equation of the record has instead of a number, or a remark.
        if number not in _mapping(document, "algorithms") and not number.startswith(SECTION):
            message = f"Alg. {number} is not among the algorithms of {document.path.stem}"
            fix = f'add "{number}": {{says: ..., steps: [...]}} to the record'
            yield Problem(path, lines[0], 1, "algorithm", message, fix=fix)
    fix = "put it where a `def` begins or where its signature ends; to mention an algorithm, write `Algorithm`"
    for number, line in facts.strays:
        yield Problem(path, line, 1, "algorithm", f"Alg. {number} does not stand on a `def`", fix=fix)


def _check_symbols(path: Path, document: Document, facts: Facts) -> Iterator[Problem]:
    symbols = (document.data or {}).get("symbols")
    for place, symbol in enumerate(symbols if isinstance(symbols, list) else []):
        code = symbol.get("code") if isinstance(symbol, dict) else None
        if not isinstance(code, str):
            continue  # the model says so
        names = names_in(code)
        unknown = [name for name in names if name not in facts.names]
        if unknown or not names:
            what = f"has no name `{unknown[0]}`" if unknown else f"has no names in `{code}`"
            near = get_close_matches(unknown[0], facts.names, n=1) if unknown else []
            fix = f"did you mean {near[0]}?" if near else "write the name that the code has, or delete the symbol"
            where = document.where(("symbols", place, "code"))
            message = f"symbols: {PACKAGE}/{path.name} {what}"
            yield Problem(document.path, *where, "symbol", message, fix=fix)


def _declared(document: Document, field: str, cited: Mapping[str, list[int]]) -> list[str]:
    """What the record declares and no comment anchors."""
    return [number for number in _mapping(document, field) if number not in cited]


def _mapping(document: Document, field: str) -> dict[str, Any]:
    declared = (document.data or {}).get(field)
    return declared if isinstance(declared, dict) else {}


def _comment(kind: str, number: str) -> str:
    return f"`# {number}`" if number.startswith(SECTION) else f"`# {kind} {number}`"


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
