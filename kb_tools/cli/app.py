"""The command group: a static table of commands, loaded one at a time, and the translation of failures."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

import click

from kb_tools import __version__
from kb_tools.cli.output import say, speak_any_script
from kb_tools.errors import STORAGE, KbError, StorageError

# section -> command -> (module under kb_tools.cli, one-line help); a test holds this and the commands together.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Find and read": {
        "list": ("listing", "List records, with filters, sorting and columns."),
        "search": ("listing", "Find records by words in title, authors, aliases, topics or summary."),
        "show": ("show", "Show everything about one record."),
        "open": ("open_", "Open the page, PDF or code of a record in your browser."),
        "pdf": ("pdf", "Download a record's PDF to your cache, and say where it is."),
        "next": ("path", "Say what to read next, and why."),
        "order": ("path", "Give the order to read everything in, or all that a goal needs."),
        "graph": ("graph", "Look at the records as a graph: edges, figures, what is missing."),
    },
    "Progress": {
        "read": ("marks", "Mark records as read today."),
        "status": ("marks", "Show or set the reading status of records."),
        "progress": ("progress", "Show how far the reading is; export and import marks."),
    },
    "Records": {
        "add": ("add", "Add papers by arXiv id, arXiv address, or DOI."),
        "cite": ("cite", "Suggest citations from Semantic Scholar and OpenAlex."),
        "updates": ("updates", "Say which papers have a new version, a journal, or were withdrawn."),
        "refresh": ("cite", "Look for what is new upstream: fields, versions, citations."),
        "set": ("set_", "Set fields of records, without an editor."),
        "tag": ("set_", "Put records under topics, or take them out."),
        "topics": ("topics", "List the topics, or add one."),
        "rm": ("rm", "Remove records, and the edges that lead to them."),
        "mv": ("mv", "Give a record another id, everywhere."),
        "dedupe": ("dedupe", "List records that could be one, or make one of two."),
        "notes": ("notes", "Write, show or list your notes on records."),
        "edit": ("edit", "Open a record in your editor; only what is valid is kept."),
        "import": ("import_", "Add the works that a bibliography or a reading list names."),
        "export": ("export", "Write records as BibTeX, CSL-JSON, RIS, CSV, JSON or Markdown."),
        "fmt": ("files", "Lay out record files in the one canonical way."),
        "check": ("files", "Report every problem of every file, each with its fix."),
    },
    "Methods": {
        "new-method": ("new_method", "Write the files of a new method from templates."),
        "run": ("methods", "Train and sample a method."),
        "verify": ("methods", "Judge a method's claims against their bounds and controls."),
    },
    "Site": {
        "build": ("site", "Build the static site."),
        "serve": ("site", "Serve the built site on this machine."),
    },
    "Set up": {
        "init": ("init", "Start a collection of your own."),
        "completions": ("completions", "Print the script that completes kb in your shell."),
    },
}
TABLE = {name: entry for section in COMMANDS.values() for name, entry in section.items()}

# What people call a command elsewhere, and what it is called here.
CALLED_ELSEWHERE = {
    **dict.fromkeys(("delete", "del", "remove", "drop"), "rm"),
    **dict.fromkeys(("rename", "move"), "mv"),
    **dict.fromkeys(("update", "upgrade", "fetch", "pull", "sync"), "refresh"),
    **dict.fromkeys(("watch", "outdated", "news", "versions", "changes"), "updates"),
    **dict.fromkeys(("tags", "labels", "categories"), "topics"),
    **dict.fromkeys(("label", "untag"), "tag"),
    **dict.fromkeys(("duplicates", "dups", "dupes", "merge"), "dedupe"),
    **dict.fromkeys(("note", "annotate", "comment", "annotations"), "notes"),
    "download": "pdf",
    **dict.fromkeys(("browse", "web"), "open"),
    **dict.fromkeys(("ls", "papers", "all"), "list"),
    **dict.fromkeys(("find", "grep"), "search"),
    **dict.fromkeys(("info", "cat", "view", "get", "abstract", "links", "url"), "show"),
    **dict.fromkeys(("new", "create", "insert"), "add"),
    **dict.fromkeys(("mark", "done", "todo"), "status"),
    **dict.fromkeys(("bib", "bibtex", "csv", "ris"), "export"),
    **dict.fromkeys(("format", "tidy"), "fmt"),
    **dict.fromkeys(("lint", "validate", "doctor"), "check"),
    **dict.fromkeys(("train", "sample"), "run"),
    **dict.fromkeys(("site", "html"), "build"),
    **dict.fromkeys(("stats", "similar", "missing"), "graph"),
    **dict.fromkeys(("path", "plan"), "order"),
}

EPILOG = """\b
Any command that takes a record understands its id, a former id, an arXiv id
or address, an alias such as DDIM, or its exact title.

\b
Output: data on stdout, talk on stderr.  On a terminal, columns are aligned;
in a pipe they are tab-separated, without a header.  --json gives
{"schema_version": 1, "data": ...}.  NO_COLOR and FORCE_COLOR are honoured.

\b
Exit codes: 0 fine, 1 findings (check, fmt --check, a claim that fails),
2 wrong usage, 3 not found or ambiguous, 4 network, 5 invalid record,
6 conflict or duplicate, 130 interrupted.

\b
Example:
  kb order --goal consistency-models
"""


class LazyGroup(click.Group):
    """Lists commands from the static table; imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TABLE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in TABLE:
            return None
        module = import_module(f"kb_tools.cli.{TABLE[cmd_name][0]}")
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        if "_KB_COMPLETE" in os.environ:
            from kb_tools.cli.completions import complete_from_records

            return complete_from_records(command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in TABLE:
            from difflib import get_close_matches

            known = CALLED_ELSEWHERE.get(args[0].lower())
            near = [known] if known else get_close_matches(args[0].lower(), [*TABLE, *CALLED_ELSEWHERE], n=1)
            meant = CALLED_ELSEWHERE.get(near[0], near[0]) if near else None
            hint = f" Did you mean `kb {meant}`?" if meant else " See `kb --help`."
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name, words) for name, (_, words) in commands.items()])


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-C", "--root", metavar="DIR", help="The collection to use (default: KB_ROOT, else the one around here).")
@click.version_option(__version__, "-V", "--version", message="kb %(version)s")
@click.pass_context
def kb(ctx: click.Context, root: str | None) -> None:
    """A paper knowledge base of diffusion models: records, reading order, running code, and a site."""
    ctx.obj = root


def run(arguments: list[str]) -> int:
    """Run the command line and turn every explained failure into its message and exit code."""
    gc.set_threshold(100_000, 20, 20)  # ten thousand records are no garbage: look for it less often
    speak_any_script()
    try:
        result = kb.main(args=arguments, prog_name="kb", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KbError as error:
        say(f"kb: {error.message}")
        if error.hint:
            say(f"    {error.hint}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("kb: interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; Python must not try to flush the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in STORAGE:
            raise
        say(f"kb: {error.filename or 'the output'}: cannot be read or written: {error.strerror}")
        say("    check the free space and the permissions, then run the command again")
        return StorageError.exit_code
    return result if isinstance(result, int) else 0
