"""kb init: a collection of one's own."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import click

from kb_tools.cli.output import dry_run_option, put, put_changes, say
from kb_tools.errors import ConflictError, StorageError, UsageError
from kb_tools.records.reader import Value
from kb_tools.records.store import Change, Collection

_TOPICS: dict[str, Value] = {"inbox": {"title": "Inbox", "summary": "What is not sorted yet."}}
_IGNORED = "/build/\n/.kb/\n"
_NAME = 100


@click.command("init")
@click.argument("folder", metavar="DIR")
@click.option("--name", default="My reading", show_default=True, help="Name of the collection: the site's title.")
@dry_run_option
def init_command(folder: str, name: str, dry_run: bool) -> None:
    """Start a collection of your own in DIR: records, one topic, the schemas for your editor, and the site.

    Nothing that DIR holds is overwritten.

    \b
    Examples:
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
    project = Path(__file__).resolve().parents[2]
    files = _files(root, project, name)
    templates = (project / "site" / "templates").is_dir()
    if dry_run:
        put_changes(Collection(root), [Change(path, None, text) for path, text in files.items()], dry_run=True)
        return
    there = [path for path in (root, root / "papers", root / "site", *files) if path.exists()]
    try:
        (root / "papers" / "resources").mkdir(parents=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        if templates and not (root / "site").exists():
            shutil.copytree(project / "site", root / "site")
    except OSError as error:
        _take_back([root / "papers", root / "site", *files, root], there)
        # shutil collects what failed, and says nothing itself.
        reason = error.strerror or str(error.args[0][0][2] if isinstance(error, shutil.Error) else error)
        hint = "check the free space and the permissions; what was written is taken back"
        raise StorageError(f"{root}: cannot be filled: {reason}", hint=hint) from None
    put(str(root))
    if not (root / "site").exists():
        say("kb: this installation holds no templates of the site; copy the folder site/ of a clone to build one")
    say(f"kb: next, go to {root} and `kb import` a list, or `kb add` a paper")


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


def _files(root: Path, project: Path, name: str) -> dict[Path, str]:
    """The texts of a new collection, but for those that are there."""
    from kb_tools.records.layout import dump_topics
    from kb_tools.records.schema import schemas

    files = {
        root / "papers" / "topics.yaml": dump_topics(_TOPICS),
        **{root / "papers" / schema: text for schema, text in schemas().items()},
        root / ".gitignore": _IGNORED,
        root / "mkdocs.yml": _settings(project, name),
    }
    return {path: text for path, text in files.items() if not path.exists()}


def _settings(project: Path, name: str) -> str:
    """The project's settings of the site under another name; without a project, what marks the collection's root."""
    title = f"site_name: {json.dumps(name, ensure_ascii=False)}"
    try:
        lines = (project / "mkdocs.yml").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return title + "\n"
    kept = [line for line in lines if not line.startswith(("#", "site_description:", "site_url:", "repo_url:"))]
    return "\n".join(title if line.startswith("site_name:") else line for line in kept) + "\n"
