"""One collection on disk: finding it, listing it, understanding references, reading and changing its records."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kb_tools.errors import AmbiguousError, InvalidRecordError, NotFoundError, Problem
from kb_tools.records.fields import NOTES, OUTSIDE_FILE, PAPER_KINDS, SETTINGS_FILE, TOPICS_FILE
from kb_tools.records.index import Entry, Index
from kb_tools.records.reference import arxiv_id, doi, fold, lookup_keys

if TYPE_CHECKING:
    from kb_tools.records.model import Record, Topic
    from kb_tools.records.reader import Document, Value


_SHOWN = 100  # letters of a reference that a message repeats


class Change(NamedTuple):
    """What a command wants to write: one file, before and after.

    `before` is None for a new file, `after` for one that is to go.  sound: `after` was read as a record already.
    """

    path: Path
    before: str | None
    after: str | None
    sound: bool = False

    def diff(self, root: Path) -> str:
        """Unified diff, empty if nothing changes."""
        from difflib import unified_diff

        name = self.path.relative_to(root).as_posix()
        before = (self.before or "").splitlines(keepends=True)
        old = f"a/{name}" if self.before is not None else "/dev/null"
        after = (self.after or "").splitlines(keepends=True)
        new = f"b/{name}" if self.after is not None else "/dev/null"
        return "".join(unified_diff(before, after, old, new))


class Collection:
    """The records under `root`/papers.  Reads what is on disk now; keeps no state but the path and the index."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.papers = self.root / "papers"

    @classmethod
    def find(cls, root: str | Path | None = None) -> Collection:
        """The collection at `root`, at KB_ROOT, or around the current folder.  Raises NotFoundError."""
        if root == "":  # an unset variable behind -C must not choose whatever collection is near
            raise NotFoundError("-C names no folder", hint="name one, or leave the option out")
        named = root or os.environ.get("KB_ROOT")
        if named:
            try:
                folder = Path(named).expanduser().absolute()
            except RuntimeError:  # ~somebody who is not there
                folder = Path(named)
            if not (folder / "papers").is_dir():
                raise NotFoundError(
                    f"{folder} is not a collection: it has no folder papers/", hint="check -C or KB_ROOT"
                )
            return cls(folder)
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / "papers").is_dir() and any(
                (folder / name).is_file() for name in (SETTINGS_FILE, "mkdocs.yml")
            ):
                return cls(folder)
        raise NotFoundError(
            f"no collection at {here} or above it: no folder with papers/ and {SETTINGS_FILE} or mkdocs.yml",
            hint="go into one, or name it with -C DIR or KB_ROOT; `kb init` starts one",
        )

    def index(self) -> Index:
        """Everything listed, up to date with the disk at this moment."""
        return Index(self.root, [*self._scan(), *self._scan_notes()])

    def entries(self) -> dict[str, Entry]:
        """id -> the listed part of every readable record."""
        return {entry.id: entry for entry in self.index().entries()}

    def files(self) -> list[Path]:
        """Every record file, by path; topics.yaml and outside.yaml are none."""
        return [Path(file.path) for file in self._scan() if file.name != TOPICS_FILE]

    def path_of(self, ident: str, kind: str) -> Path:
        """Where the record of an id belongs."""
        return (self.papers if kind in PAPER_KINDS else self.papers / "resources") / f"{ident}.yaml"

    def documents(self) -> Iterator[Document]:
        """Every record file as read, with its problems, by path."""
        from kb_tools.records.reader import read_file

        return (read_file(path) for path in self.files())

    def read(self) -> tuple[dict[str, Record], list[Problem]]:
        """id -> record for every valid file, and the problems of the others: one bad file breaks only itself."""
        from kb_tools.records.shapes import check_id
        from kb_tools.records.validate import validate_record

        records: dict[str, Record] = {}
        problems: list[Problem] = []
        for document in self.documents():
            record = validate_record(document)
            check_id(document)
            problems += document.problems
            if record is not None and not document.problems:
                records[record.id] = record
        return dict(sorted(records.items())), problems

    def records(self) -> dict[str, Record]:
        """id -> record for every valid file, by id."""
        return self.read()[0]

    def topics(self) -> dict[str, Topic]:
        """id -> topic, in the order of topics.yaml (the order of the site).  Raises InvalidRecordError."""
        from kb_tools.records.reader import read_file
        from kb_tools.records.validate import validate_topics

        document = read_file(self.papers / TOPICS_FILE)
        topics = validate_topics(document)
        document.require()
        return topics

    def resolve(self, reference: str, index: Index | None = None) -> str:
        """The id that a reference means: slug, former slug, arXiv id or URL, DOI, alias, or exact title.

        Raises NotFoundError with the three nearest ids, AmbiguousError with every id that fits.
        """
        index = index or self.index()
        found = index.named(lookup_keys(reference))
        best = [ident for rank, ident in found if rank == found[0][0]]
        if len(best) == 1:
            return best[0]
        if best:
            raise AmbiguousError(
                f"{reference!r} means more than one record: {', '.join(best)}", nearest=best, hint="use the id"
            )
        for invalid in index.invalid():
            if invalid.id == reference:
                raise InvalidRecordError(invalid.problems, hint="mend the file, then run `kb check`")
        name = reference if len(reference) <= _SHOWN else f"{reference[:_SHOWN]}..."
        if arxiv_id(reference) or doi(reference):
            raise NotFoundError(f"no record is called {name!r}", hint=f"`kb add {reference}` adds it")
        nearest = _nearest(reference, index)
        hint = None if nearest else "`kb list` shows every id, `kb search WORDS` looks for words"
        raise NotFoundError(f"no record is called {name!r}", nearest=nearest, hint=hint)

    def hidden(self, index: Index, names: Iterable[str | None]) -> Path | None:
        """A file that is not valid and names one of these arXiv ids or DOIs: it may be the record of that work."""
        words = [re.escape(name.encode()) for name in names if name]
        not_valid = index.invalid() if words else []
        if not not_valid:
            return None
        pattern = re.compile(b"(?i)(?<![0-9])(?:" + b"|".join(words) + b")(?![0-9])")
        for invalid in not_valid:
            path = self.root / invalid.path
            with suppress(OSError):
                if not path.is_symlink() and pattern.search(path.read_bytes()):
                    return path
        return None

    def document(self, ident: str) -> Document:
        """The file of a record as it is now, for reading and changing."""
        from kb_tools.records.reader import read_file

        for folder in (self.papers, self.papers / "resources"):
            if (folder / f"{ident}.yaml").exists():
                return read_file(folder / f"{ident}.yaml")
        raise NotFoundError(f"no record is called {ident!r}")

    def change(
        self, idents: list[str], changes_of: Callable[[Mapping[str, Value]], Mapping[str, Value]], *, dry_run: bool
    ) -> list[Change]:
        """Change fields of several records, all of them or none.

        changes_of: record data -> the fields to set (None removes one); it is called under the lock, on what is on
        disk then.  Every result is validated before the first file is written.  Returns the changes that differ.
        """
        from kb_tools.records.writing import locked

        if dry_run:
            return self._prepare(idents, changes_of)
        with locked(self.root):
            changes = self._prepare(idents, changes_of)
            self._write(changes)
        return changes

    def write(self, changes: list[Change], *, dry_run: bool = False) -> list[Change]:
        """Write or remove whole files that were prepared from what was on disk: all of them or none.

        A file that was changed since then is a ConflictError.
        """
        from kb_tools.records.writing import locked

        changes = [change for change in changes if change.after != change.before]
        if changes and not dry_run:
            with locked(self.root):
                self._write(changes)
        return changes

    def _prepare(
        self, idents: list[str], changes_of: Callable[[Mapping[str, Value]], Mapping[str, Value]]
    ) -> list[Change]:
        from kb_tools.records.edit import set_fields
        from kb_tools.records.validate import validate_record

        changes = []
        for ident in idents:
            document = self.document(ident)
            edited = set_fields(document, changes_of(document.require()))
            validate_record(edited)
            edited.require()
            if edited.text != document.text:
                changes.append(Change(document.path, document.text, edited.text))
        return changes

    def _write(self, changes: list[Change]) -> None:
        from kb_tools.records.writing import Put, replace_files

        replace_files(
            self.root,
            [
                Put(path, None if before is None else before.encode("utf-8"), after, sound)
                for path, before, after, sound in changes
            ],
        )

    def _scan(self) -> list[os.DirEntry[str]]:
        found: list[os.DirEntry[str]] = []
        for folder in (self.papers, self.papers / "resources"):
            try:
                with os.scandir(folder) as entries:
                    found += [entry for entry in entries if entry.name.endswith(".yaml") and entry.name[0] != "."]
            except FileNotFoundError:
                continue
        records = (entry for entry in found if entry.name != OUTSIDE_FILE and not entry.is_dir())
        return sorted(records, key=lambda entry: entry.path)

    def _scan_notes(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.papers / NOTES) as entries:
                return [e for e in entries if e.name.endswith(".md") and e.name[0] != "." and not e.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _nearest(reference: str, index: Index) -> list[str]:
    """Up to three ids whose id, alias or title looks like the reference."""
    from difflib import get_close_matches

    names: dict[str, str] = {}
    for key, ident in index.names():
        names.setdefault(key, ident)
    wanted = fold(reference)
    close = get_close_matches(wanted, names, n=12, cutoff=0.5)
    inside = sorted((key for key in names if len(wanted) >= 3 and wanted in key), key=len)
    return list(dict.fromkeys(names[key] for key in (*close[:3], *inside, *close[3:])))[:3]
