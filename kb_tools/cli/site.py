"""kb build, kb serve: the static site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import click

from kb_tools.cli.output import json_option, put, put_json, room_needed, say, shown_path, with_collection
from kb_tools.errors import KbError
from kb_tools.records.store import Collection


@click.command("build")
@click.option("--out", metavar="DIR", help="Where to build (default: build/ in the collection).")
@click.option("--keep-going", is_flag=True, help="Build what can be built when something cannot be shown.")
@json_option
@with_collection
def build_command(collection: Collection, out: str | None, keep_going: bool, as_json: bool) -> None:
    """Build the static site from the records, the methods and their evidence; only what changed is written.

    \b
    Example:
      kb build && kb serve --open
    """
    target = Path(out).absolute() if out else collection.root / "build"
    with _extra_needed(), room_needed(target):
        report = import_module("kb_tools.site.build").build(collection, target, strict=not keep_going)
    if as_json:
        put_json(
            {
                "site": str(report.site),
                "pages": report.pages,
                "written": report.written,
                "removed": report.removed,
                "problems": report.problems,
                "seconds": round(report.seconds, 3),
            }
        )
        return
    for problem in report.problems:
        say(f"kb: {problem}")
    say(
        f"kb: {report.pages} pages in {report.seconds:.1f} s, "
        f"{len(report.written)} files written, {len(report.removed)} removed"
    )
    put(shown_path(report.site, collection))


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--open", "open_browser", is_flag=True, help="Open the site in a browser.")
@with_collection
def serve_command(collection: Collection, host: str, port: int, open_browser: bool) -> None:
    """Serve the built site on this machine until Ctrl-C.

    \b
    Example:
      kb serve --port 8080 --open
    """
    with _extra_needed(), room_needed(collection.root / "build"):
        import_module("kb_tools.site.serve").serve(collection, host, port, open_browser)


@contextmanager
def _extra_needed() -> Iterator[None]:
    """Say what to install where a package of the extra [site] is missing, at the start or only when it is used.

    Errors: KbError for a package of somebody else; a module of our own that is missing is a bug, and shows as one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("kb_tools", "implementations"):
            raise
        raise KbError(
            f"the site needs {error.name}, which is not installed",
            hint="pip install 'diffusion-kb[site]', or `make run`",
        ) from None
