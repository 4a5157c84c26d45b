"""kb graph: the records as a graph."""

from __future__ import annotations

import click

from kb_tools.cli.output import json_option, put, put_json, say, say_invalid, style, table, with_collection
from kb_tools.errors import InvalidRecordError, UsageError
from kb_tools.graphs.graph import KINDS, Work, around, edges, missing, similar, statistics
from kb_tools.records.fields import OUTSIDE_FILE
from kb_tools.records.store import Collection

_FORMATS = ("json", "dot", "graphml", "mermaid", "svg")
_LISTED = 4


class _EdgesFirst(click.Group):
    """A group whose own options are those of `edges`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["edges", *args]
        return super().parse_args(ctx, args)


@click.group("graph", cls=_EdgesFirst)
def graph_command() -> None:
    """Look at the records as a graph: edges, figures, what is missing, what is alike.

    With options only, this is `kb graph edges`.

    \b
    Examples:
      kb graph --format svg > graph.svg
      kb graph missing --min 5
      kb graph similar ddim
    """


@graph_command.command("edges")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only these edges (default: builds_on).")
@click.option("--all", "every", is_flag=True, help="Edges of every kind.")
@click.option("--around", "center", metavar="RECORD", help="Only what is near this record.")
@click.option("--depth", type=click.IntRange(1, 9), default=1, show_default=True, help="How near, in edges.")
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Write the graph in this format.")
@json_option
@with_collection
def edges_command(
    collection: Collection,
    kinds: tuple[str, ...],
    every: bool,
    center: str | None,
    depth: int,
    form: str | None,
    as_json: bool,
) -> int:
    """List the edges between records, or write them as JSON, DOT, GraphML, Mermaid or SVG.

    \b
    Examples:
      kb graph edges --around ddim --depth 2
      kb graph edges --all --format graphml > kb.graphml
    """
    if form and as_json:
        raise UsageError(
            "--json lists the edges in kb's own envelope; --format writes the graph", hint="give one of them"
        )
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    links = edges(entries, KINDS if every else kinds or ("builds_on",))
    if center is not None:
        near = around(collection.resolve(center, index), links, depth)
        links = [edge for edge in links if edge.source in near and edge.target in near]
    else:
        near = {ident for edge in links for ident in edge[:2]}
    if form:
        from kb_tools.graphs.drawing import FORMATS

        click.echo(FORMATS[form]({ident: entries[ident] for ident in near}, links), nl=False)
    elif as_json:
        put_json([edge._asdict() for edge in links])
    else:
        rows = [(edge.source, edge.kind, edge.target) for edge in links]
        table(("from", "edge", "to"), rows, shades=({"bold": True}, {"dim": True}, {"bold": True}))
    return say_invalid(index)


@graph_command.command("stats")
@json_option
@with_collection
def stats_command(collection: Collection, as_json: bool) -> int:
    """Count edges, find the longest chain to read, and what is built on, cited and central most.

    \b
    Example:
      kb graph stats --json
    """
    index = collection.index()
    stats = statistics({entry.id: entry for entry in index.entries()})
    if as_json:
        rankings = {
            name: [list(pair) for pair in getattr(stats, name)] for name in ("most_built_on", "most_cited", "rank")
        }
        put_json(
            {
                "records": stats.records,
                "edges": stats.edges,
                "chain": list(stats.chain),
                **rankings,
                "alone": stats.alone,
            }
        )
        return say_invalid(index)
    counts = ", ".join(f"{count} {kind}" for kind, count in stats.edges.items())
    for label, words in (
        ("records", str(stats.records)),
        ("edges", counts),
        ("longest chain", " > ".join(stats.chain)),
        ("most built on", ", ".join(f"{ident} {count}" for ident, count in stats.most_built_on)),
        ("most cited", ", ".join(f"{ident} {count}" for ident, count in stats.most_cited)),
        ("central", ", ".join(f"{ident} {rank:.3f}" for ident, rank in stats.rank)),
        ("without edges", ", ".join(stats.alone)),
    ):
        put(f"{style(f'{label:15}', dim=True)}{words}".rstrip())
    return say_invalid(index)


@graph_command.command("missing")
@click.option(
    "--min", "least", type=click.IntRange(1), default=3, show_default=True, help="Cited by at least N of ours."
)
@json_option
@with_collection
def missing_command(collection: Collection, least: int, as_json: bool) -> None:
    """List works that several records cite and that are not in the collection, most cited first.

    \b
    Example:
      kb graph missing --min 5
    """
    works = missing(_outside(collection), least)
    if as_json:
        put_json([{**work._asdict(), "cited_by": list(work.cited_by)} for work in works])
        return
    rows = [(len(work.cited_by), work.arxiv or work.doi, work.title, _some(work.cited_by)) for work in works]
    table(("cited", "id", "title", "by"), rows, shades=(None, {"fg": "cyan"}, {"bold": True}, {"dim": True}))
    if not works:
        say(f"kb: no work beyond the collection is cited by {least} or more; `kb refresh --apply` notes them")


@graph_command.command("similar")
@click.argument("record")
@click.option("-n", "--count", type=click.IntRange(1, 100), default=10, show_default=True, help="How many to list.")
@json_option
@with_collection
def similar_command(collection: Collection, record: str, count: int, as_json: bool) -> int:
    """List the records most like one: by the references they share, and by who cites both.

    \b
    Example:
      kb graph similar ddim -n 5
    """
    index = collection.index()
    entries = {entry.id: entry for entry in index.entries()}
    ident = collection.resolve(record, index)
    found = similar(ident, entries, _outside(collection), count)
    if as_json:
        put_json(
            [
                {"id": one.ident, "score": round(one.score, 4), "shared": one.shared, "together": one.together}
                for one in found
            ]
        )
        return say_invalid(index)
    rows = [(one.ident, f"{one.score:.2f}", _why(one.shared, one.together)) for one in found]
    table(("id", "score", "why"), rows, shades=({"bold": True}, None, {"dim": True}))
    if not found:
        say(f"kb: {ident} shares no reference with another record, and nothing cites both")
    return say_invalid(index)


def _outside(collection: Collection) -> list[Work]:
    """The works of outside.yaml.  Raises InvalidRecordError if it cannot be used."""
    from kb_tools.records.reader import read_file
    from kb_tools.records.validate import validate_outside

    path = collection.papers / OUTSIDE_FILE
    if not path.exists():
        return []
    document = read_file(path)
    works = validate_outside(document)
    document.require()
    if works is None:
        raise InvalidRecordError(f"{path} cannot be used", hint="run `kb check`")
    return [Work(work.title, work.arxiv, work.doi, tuple(work.cited_by)) for work in works.works]


def _why(shared: tuple[str, ...], together: tuple[str, ...]) -> str:
    parts = []
    if shared:
        parts.append(f"both cite {_some(shared)}")
    if together:
        parts.append(f"{_some(together)} {'cites' if len(together) == 1 else 'cite'} both")
    return "; ".join(parts)


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
