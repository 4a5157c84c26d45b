"""kb completions: the shell completes commands, options, ids and topics."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from kb_tools.cli.output import put
from kb_tools.records.fields import STATUSES
from kb_tools.records.store import Collection

VARIABLE = "_KB_COMPLETE"
_RECORDS = frozenset({"record", "records", "words", "goals", "center"})
_TOPICS = frozenset({"topics"})


@click.command("completions")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completions_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `kb` in your shell: commands, options, ids of records, topics.

    \b
    Examples:
      kb completions bash >> ~/.bashrc
      kb completions zsh > ~/.zfunc/_kb
      kb completions fish > ~/.config/fish/completions/kb.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    script = completion.source_template % completion(ctx.find_root().command, {}, "kb", VARIABLE).source_vars()
    # click's script for fish splits at every comma, and so cuts titles short.
    put(script.replace('string split "," ', 'string split --max 1 "," ').strip())


class _Known(click.ParamType):
    """A text that is completed from the collection."""

    name = "text"

    def __init__(self, *, topics: bool, also: tuple[str, ...] = ()) -> None:
        self.topics, self.also = topics, also

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        root = ctx.params.get("root") or ctx.find_root().params.get("root")
        index = Collection.find(root).index()
        known = index.topics() if self.topics else {entry.id: entry.title for entry in index.entries()}
        known |= dict.fromkeys(self.also, "")
        return [CompletionItem(ident, help=words) for ident, words in known.items() if ident.startswith(incomplete)]


def complete_from_records(command: click.Command) -> click.Command:
    """Let the arguments of a command that name records or topics be completed from the collection."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        complete_from_records(inner)
    also = STATUSES if command.name == "status" else ()
    for param in command.params:
        if param.name in _RECORDS or param.name in _TOPICS:
            param.type = _Known(topics=param.name in _TOPICS, also=also)
    return command
