"""The names of formats on the command line: in full, or as people shorten them."""

from __future__ import annotations

from typing import Any

import click

from kb_tools.exchange.formats import NAMES, named


class _Form(click.Choice):
    """A name of the table of formats."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(named(value) if isinstance(value, str) else value, param, ctx)


FORM = _Form(NAMES)
