"""What our own Markdown list carries in comments under its entries, which nobody sees, given back to what was read."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.markdown import boxed
from kb_tools.exchange.work import Reading, Unread, Work

_CARRIED = re.compile(rf"\s*<!-- {whole.NAME} (\{{.*\}}) -->\s*")


def taken_out(text: str) -> tuple[list[str], dict[int, str]]:
    """The lines of a list, those of its comments empty, and what these carry: line, from 1, -> text."""
    lines, carried = text.split("\n"), dict[int, str]()
    if f"<!-- {whole.NAME} " in text:
        for number, line in enumerate(lines, 1):
            if found := _CARRIED.fullmatch(line):
                carried[number], lines[number - 1] = found[1], ""
    return lines, carried


def given_back(reading: Reading, carried: Mapping[int, str], lines: Sequence[str]) -> Reading:
    """Every work with what the comment under it carries; a comment with no work above it is one by itself.

    What stands right above such a comment and was not read, as a title of numbers alone, is in the comment.
    """
    numbers = sorted(carried)
    under: dict[int, int] = {}  # line of a work -> line of the comment; of two works above one comment, the first
    taken: set[int] = set()
    for work in reading.works:
        place = bisect(numbers, work.line)
        if place < len(numbers) and numbers[place] not in taken:
            under[work.line] = numbers[place]
            taken.add(numbers[place])
    stray = [Work(number, {}) for number in numbers if number not in taken]
    inside = {above for one in stray for above in _above(one.line, lines)}
    works, unread = [], [lost for lost in reading.unread if lost.line not in inside]
    for work in sorted([*reading.works, *stray], key=lambda one: one.line):
        number = under.get(work.line, None if work.fields else work.line)
        try:
            works.append(work if number is None else _restored(work, carried[number]))
        except InvalidRecordError as error:
            unread.append(Unread(work.line, f"the item {error.message}", refused=True))
    return Reading(works, unread)


def _above(number: int, lines: Sequence[str]) -> Iterator[int]:
    """The lines above a line of that number, up to an empty one."""
    while number > 1 and lines[number - 2].strip():
        number -= 1
        yield number


def _restored(work: Work, carried: str) -> Work:
    """The record that an export wrote.  A box that somebody ticked since then counts, whatever it was before."""
    restored = whole.restored(work._replace(fields=boxed(work.fields) if work.fields else {}), carried)
    if work.fields.get("status") == "read":
        restored.fields["status"] = "read"
    return restored
