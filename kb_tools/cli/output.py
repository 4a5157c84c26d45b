"""What every command says, and where: data on stdout, talk on stderr, colour and columns only on a terminal."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap

import click

from kb_tools.errors import STORAGE, InvalidRecordError, NotFoundError, StorageError, UsageError, plain
from kb_tools.records.index import Index
from kb_tools.records.store import Change, Collection

SCHEMA_VERSION = 1

root_option = click.option(
    "-C", "--root", metavar="DIR", help="The collection to use (default: KB_ROOT, else the one around here)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: {schema_version, data}.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would change as a diff; write nothing.")
yes_option = click.option("--yes", is_flag=True, help="Ask nothing: do it.")


def with_collection(function: Callable) -> Callable:
    """Give a command its collection as `collection`, chosen by its own -C, kb's -C, KB_ROOT, or the folder."""
    from functools import update_wrapper

    def command(*args, root: str | None, **options):
        outer = click.get_current_context().find_root().obj
        return function(*args, collection=Collection.find(outer if root is None else root), **options)

    return root_option(update_wrapper(command, function))


def speak_any_script() -> None:
    """Let stdout take every character, whatever the locale: data is UTF-8, and a terminal is shown what it can show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def terminal() -> bool:
    """Whether stdout is a terminal that a person looks at."""
    return sys.stdout.isatty()


def coloured() -> bool:
    """Whether stdout may carry colour: NO_COLOR, FORCE_COLOR, TERM=dumb, else whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal() and os.environ.get("TERM") != "dumb"


def style(text: str, **how) -> str:
    """Styled text where colour is allowed.  Colour only ever repeats what the words say."""
    return click.style(text, **how) if text and coloured() else text


def put(text: str = "") -> None:
    """One line of data to stdout."""
    click.echo(text, color=coloured())


def say(text: str) -> None:
    """One line of talk to stderr."""
    click.echo(text, err=True)


def say_none(collection_is_empty: bool, words: str) -> None:
    """Why there is nothing to show: the collection has no records yet, or else what `words` say."""
    say("kb: no records yet; `kb add` a paper or `kb import` a list" if collection_is_empty else f"kb: {words}")


def say_invalid(index: Index) -> int:
    """Name the files that cannot be used, and so are not in what was shown; the exit code that follows from it."""
    for invalid in index.invalid():
        say(f"kb: left out, not valid: {invalid.problems}")
    return InvalidRecordError.exit_code if index.invalid() else 0


def put_json(data: object) -> None:
    """Data to stdout in the envelope that every command shares."""
    envelope = {"schema_version": SCHEMA_VERSION, "data": data}
    put(json.dumps(envelope, indent=1 if terminal() else None, ensure_ascii=False))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    shades: Sequence[dict | None] = (),
    under: Sequence[str] = (),
) -> None:
    """Rows to stdout: aligned under a header on a terminal, tab-separated without one in a pipe.

    The last column takes what is left of the terminal's width and is cut there.  shades: styles per column.  under:
    what stands below each row on a terminal, whole, on as many lines as it takes; nothing where it is empty.
    """
    texts = [_cells(row) for row in rows]
    if not terminal():
        if texts:
            put("\n".join("\t".join(row) for row in texts))
        return
    if not texts:
        return
    columns = len(header)
    widths = [max(width(row[i]) for row in [header, *texts]) for i in range(columns)]
    room = max(get_terminal_size().columns - sum(widths[:-1]) - 2 * (columns - 1), 20)
    widths[-1] = min(widths[-1], room)
    put(style("  ".join(pad(name.upper(), widths[i]) for i, name in enumerate(header)).rstrip(), bold=True))
    for row, more in zip_longest(texts, under, fillvalue=""):
        cells = [pad(cut(cell, widths[i]), widths[i]) for i, cell in enumerate(row)]
        cells[-1] = cells[-1].rstrip()
        for i, how in enumerate(shades):
            if how:
                cells[i] = style(cells[i], **how)
        put("  ".join(cells))
        for line in wrap(more, max(get_terminal_size().columns - 4, 20)):
            put(style(f"    {line}", fg="yellow"))


def put_changes(collection: Collection, changes: Sequence[Change], *, dry_run: bool) -> None:
    """The diff of what would be written."""
    if dry_run:
        for change in changes:
            for line in change.diff(collection.root).splitlines():
                colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
                put(style(line, fg=colour) if colour else line)


def agreed(question: str) -> bool:
    """Whether a person at the terminal says yes.  Raises UsageError where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask at", hint="add --yes, or look first with --dry-run")
    return click.confirm(question, default=False, err=True)


def named_file(collection: Collection, reference: str, index: Index | None = None) -> str:
    """The id of a record; a file that is not valid is known by its name, for that is how it is mended."""
    if any(path.stem == reference for path in collection.files()):
        return reference
    return collection.resolve(reference, index)


def put_file(file: str, text: str, *, dry_run: bool) -> None:
    """Text to a file at once, or to stdout for `-`; a dry run prints what would change in the file."""
    if file == "-":
        put(text.removesuffix("\n"))
        return
    target = Path(file).absolute()
    if not file or target.is_dir():
        raise UsageError(f"{file or 'an empty name'} is no file to write to", hint="name a file, or - for stdout")
    if target.exists() and not target.is_file():  # a device or a pipe has nothing to keep, and must stay what it is
        try:
            if not dry_run:
                target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
        return
    try:
        before = target.read_bytes() if target.exists() else None
    except OSError as error:
        raise StorageError(f"{target}: cannot be read: {error.strerror}", hint="check the permissions") from None
    if dry_run:
        put(Change(target, before.decode(errors="replace") if before else None, text).diff(target.parent).rstrip("\n"))
        return
    from kb_tools.records.writing import replace_file

    if not target.parent.is_dir():
        raise NotFoundError(f"there is no folder {target.parent}")
    replace_file(target.parent, target, text, expected=before)


@contextmanager
def room_needed(target: Path) -> Iterator[None]:
    """Name what is written to where the system does not say which file it could not write."""
    try:
        yield
    except OSError as error:
        if error.errno not in STORAGE or error.filename:
            raise
        hint = "check the free space; what stands under build/ can be deleted, and is made again"
        raise StorageError(f"{target}: cannot be written: {error.strerror}", hint=hint) from None


def take_bytes(file: str) -> bytes:
    """What a file holds, or stdin for `-`.  Raises NotFoundError or InvalidRecordError."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
    except OSError as error:
        raise InvalidRecordError(f"{file} cannot be read: {error.strerror}") from None


def take_text(file: str) -> str:
    """The text of a file, or of stdin for `-`; a byte order mark is passed over.

    Raises NotFoundError or InvalidRecordError.
    """
    try:
        return take_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRecordError(f"{file} is not UTF-8", hint="save it as UTF-8") from None


def shown_path(path: Path, collection: Collection) -> str:
    """A path as people name it: inside the collection."""
    inside = path.is_relative_to(collection.root)
    return plain(path.relative_to(collection.root).as_posix() if inside else path)


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """A text cut to a width, with an ellipsis."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def _cells(row: Sequence[object]) -> list[str]:
    """A row as plain texts.  Whether it can be printed as it is, which is nearly always so, is asked once per row."""
    cells = [cell if type(cell) is str else str(cell) if type(cell) is int else _plain(cell) for cell in row]
    return cells if "".join(cells).isprintable() else [_plain(cell) for cell in cells]


def _plain(cell: object) -> str:
    """A cell as one line of text that cannot move the cursor."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, list | tuple):
        return ", ".join(_plain(item) for item in cell)
    if isinstance(cell, dict):
        return json.dumps(cell, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else " " for letter in str(cell))
