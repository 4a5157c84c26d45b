"""kb topics: the headings under which records stand."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches

import click

from kb_tools.cli.output import (
    dry_run_option,
    json_option,
    put_changes,
    put_json,
    say,
    shown_path,
    table,
    with_collection,
)
from kb_tools.errors import ConflictError, UsageError
from kb_tools.records.fields import TOPICS_FILE
from kb_tools.records.layout import dump_topics, field_lines
from kb_tools.records.naming import is_id
from kb_tools.records.reader import Value, read_file, read_text
from kb_tools.records.store import Change, Collection


@click.group("topics", invoke_without_command=True)
@json_option
@with_collection
@click.pass_context
def topics_command(ctx: click.Context, collection: Collection, as_json: bool) -> None:
    """List the topics in the order of the site, with how many records stand under each; `kb topics add` makes one.

    \b
    Examples:
      kb topics
      kb topics add video "Video" --summary "Moving pictures."
    """
    if ctx.invoked_subcommand:
        return
    index = collection.index()
    counts = Counter(topic for entry in index.entries() for topic in entry.topics)
    rows = [(ident, counts[ident], title) for ident, title in index.topics().items()]
    if as_json:
        put_json([{"id": ident, "records": count, "title": title} for ident, count, title in rows])
        return
    table(("id", "records", "title"), rows, shades=({"bold": True}, None, None))
    if not rows:
        say('kb: no topics yet; `kb topics add ID "Name"` makes one')


@topics_command.command("add")
@click.argument("topic", metavar="ID")
@click.argument("title", metavar="NAME")
@click.option("--summary", metavar="TEXT", help="What stands under it, for the site (default: NAME).")
@dry_run_option
@with_collection
def topics_add_command(collection: Collection, topic: str, title: str, summary: str | None, dry_run: bool) -> None:
    """Add a topic at the end of papers/topics.yaml; the order of that file is the order on the site.

    \b
    Example:
      kb topics add video "Video" --summary "Moving pictures."
    """
    title = " ".join(title.split())
    if not is_id(topic):
        raise UsageError(f"{topic!r} is no id", hint="ids are lower-case words joined by hyphens, as in score-matching")
    if not title:
        raise UsageError("a topic needs a name", hint=f'kb topics add {topic} "Its name"')
    change = _added(collection, topic, {"title": title, "summary": (summary or "").strip() or title})
    collection.write([change], dry_run=dry_run)
    put_changes(collection, [change], dry_run=dry_run)
    if not dry_run:
        say(f"{topic}: added ({shown_path(change.path, collection)}); `kb tag RECORD +{topic}` puts records under it")


def _added(collection: Collection, topic: str, fields: dict[str, Value]) -> Change:
    """topics.yaml with one more topic behind the others; nothing else in it changes."""
    from kb_tools.records.validate import validate_topics

    path = collection.papers / TOPICS_FILE
    if not path.exists():
        before, after = None, dump_topics({topic: fields})
    else:
        document = read_file(path)
        known = document.require()
        if topic in known:
            raise ConflictError(f"there is a topic {topic} already", hint="`kb topics` lists them")
        before = document.text
        newline = "\r\n" if "\r\n" in before else "\n"
        head = before if not before or before.endswith("\n") else before + newline
        after = head + "".join(line + newline for line in field_lines(topic, fields))
        if near := get_close_matches(topic, known, n=1, cutoff=0.85):
            say(f"kb: there is {near[0]} too")
    edited = read_text(path, after)
    validate_topics(edited)
    if edited.problems:
        raise UsageError(f"{topic}: {edited.problems[0].message}", hint=edited.problems[0].fix)
    return Change(path, before, after)
