"""kb pdf: a record's PDF in the user's cache."""

from __future__ import annotations

import click

from kb_tools.cli.output import json_option, put, put_json, say, with_collection
from kb_tools.cli.show import links
from kb_tools.errors import NotFoundError
from kb_tools.records.store import Collection


@click.command("pdf")
@click.argument("record")
@click.option("--open", "open_viewer", is_flag=True, help="Open it in your viewer of PDFs.")
@click.option("--no-cache", is_flag=True, help="Download it again: arXiv gives the latest version.")
@json_option
@with_collection
def pdf_command(collection: Collection, record: str, open_viewer: bool, no_cache: bool, as_json: bool) -> None:
    """Download a record's PDF to your cache and print where it is; the next time it is there already.

    PDFs are nobody's to publish: they are kept in your cache (XDG_CACHE_HOME), never in the collection.

    \b
    Examples:
      kb pdf ddim --open
      pdftotext "$(kb pdf ddim)" -
    """
    from kb_tools.services.pdf import fetch, pdf_path

    index = collection.index()
    ident = collection.resolve(record, index)
    known = links(index.record(ident))
    address = known.get("pdf", "")
    if not address.startswith(("https://", "http://")):
        others = f"it has {', '.join(known)}" if known else "it has no address at all"
        raise NotFoundError(f"{ident} names no address of its PDF", hint=f"{others}; `kb set {ident} links.pdf=...`")
    path = pdf_path(ident, address)
    fresh = no_cache or not path.is_file()
    if fresh:
        say(f"kb: asking for {address}")
        fetch(address, path)
    if as_json:
        put_json({"id": ident, "path": str(path), "from": address, "bytes": path.stat().st_size, "downloaded": fresh})
    else:
        put(str(path))
    if open_viewer and click.launch(str(path)):
        say("kb: no viewer could be started")
