"""kb open: a record's page, PDF or code in the browser."""

from __future__ import annotations

import click

from kb_tools.cli.output import put, say, terminal, with_collection
from kb_tools.cli.show import links
from kb_tools.errors import NotFoundError, UsageError
from kb_tools.records.store import Collection

# Which of a record's addresses is its page: the first that it has.
_PAGES = ("arxiv", "doi", "page", "project", "web", "url", "openreview")


@click.command("open")
@click.argument("record")
@click.option("--pdf", is_flag=True, help="Its PDF.")
@click.option("--code", is_flag=True, help="The address of its code.")
@click.option("--print", "only_print", is_flag=True, help="Print the address; open nothing.")
@with_collection
def open_command(collection: Collection, record: str, pdf: bool, code: bool, only_print: bool) -> None:
    """Open a record's page in your browser: at arXiv, else by its DOI, else by its first link.

    The address is printed instead where stdout is no terminal, or no browser can be started.

    \b
    Examples:
      kb open ddim --pdf
      kb open "Denoising Diffusion Implicit Models" --print
    """
    if pdf and code:
        raise UsageError("--pdf and --code are two addresses", hint="leave one of them out")
    index = collection.index()
    ident = collection.resolve(record, index)
    known = links(index.record(ident))
    wanted = ("pdf",) if pdf else ("code",) if code else (*_PAGES, *known)
    address = next((known[name] for name in wanted if name in known), None)
    if address is None:
        what = "PDF" if pdf else "code" if code else "page"
        others = f"it has {', '.join(known)}" if known else "it has no address at all"
        raise NotFoundError(f"{ident} names no address of its {what}", hint=f"{others}; see `kb show {ident}`")
    if only_print or not terminal():
        put(address)
    elif _opened(address):
        say(f"{ident}: {address}")
    else:
        say("kb: no browser could be started")
        put(address)


def _opened(address: str) -> bool:
    """Whether a browser took an address; only addresses of the web are given to one."""
    import webbrowser

    if not address.startswith(("https://", "http://")):
        return False
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
