"""kb init: a collection of one's own."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import click

from kb_tools.cli.output import dry_run_option, put, put_changes, say
from kb_tools.errors import ConflictError, StorageError, UsageError
from kb_tools.records.fields import SETTINGS_FILE, TOPICS_FILE
from kb_tools.records.store import Change, Collection

_IGNORED = "/build/\n/.kb/\n"
_NAME = 100
_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--name", default="My reading", show_default=True, help="Name of the collection: the site's title.")
@dry_run_option
def init_command(folder: str, name: str, dry_run: bool) -> None:
    """Start a collection of your own in DIR, or here: records, topics, the schemas for your editor, kb.yaml.

    kb.yaml has the site's title and colours; papers/topics.yaml says how to add a topic.  Nothing that DIR holds is
    overwritten.

    \b
    Examples:
      kb init
      kb init ~/reading --name "What I read"
      kb init ~/reading && cd ~/reading && kb import refs.bib
    """
    if not folder or not name.strip() or len(name) > _NAME or not name.isprintable():
        raise UsageError(
            f"DIR and --name cannot be empty, and the name is one line of at most {_NAME} letters",
            hint='kb init ~/reading --name "What I read"',
        )
    try:
        root = Path(folder).expanduser().resolve()
    except RuntimeError as error:  # ~somebody who is not there, or links in a circle
        raise UsageError(f"{folder}: {error}", hint="name another folder") from None
    if (root / "papers").exists():
        raise ConflictError(f"{root} has a folder papers/ already", hint="choose another folder")
    files = _files(root, name.strip())
    if dry_run:
        put_changes(Collection(root), [Change(path, None, text) for path, text in files.items()], dry_run=True)
        return
    there = [path for path in (root, root / "papers", *files) if path.exists()]
    try:
        (root / "papers" / "resources").mkdir(parents=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        _take_back([root / "papers", *files, root], there)
        hint = "check the free space and the permissions; what was written is taken back"
        raise StorageError(f"{root}: cannot be filled: {error.strerror}", hint=hint) from None
    put(str(root))
    go = "" if root == Path.cwd() else f"go to {root}, then "
    say(f"kb: next, {go}`kb add` a paper by its arXiv id, or `kb import` a list")
    say(f"    papers/{TOPICS_FILE} says how to add a topic, {SETTINGS_FILE} has the title and the colours")
    say("    `kb build` makes the site, `kb serve` shows it")


def _take_back(made: list[Path], there: list[Path]) -> None:
    """Remove what was made, so that half a collection is never taken for a whole one; what was there stays."""
    for path in made:
        if path in there:
            continue
        with suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _files(root: Path, name: str) -> dict[Path, str]:
    """The texts of a new collection, but for those that are there."""
    from kb_tools.records.schema import schemas

    files = {
        root / "papers" / TOPICS_FILE: _template(TOPICS_FILE),
        **{root / "papers" / schema: text for schema, text in schemas().items()},
        root / ".gitignore": _IGNORED,
        root / SETTINGS_FILE: _template(SETTINGS_FILE).replace("{title}", json.dumps(name, ensure_ascii=False)),
    }
    return {path: text for path, text in files.items() if not path.exists()}


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
