"""In which order to read: prerequisites first, and among what is ready, what is worth most.

A paper is worth what the papers above it are worth: a plain prerequisite of a great paper comes early.  Papers that
build on each other in a circle form one step, to be read together.  Same records, same order, always.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kb_tools.errors import NotFoundError
from kb_tools.graphs.dag import components, topological
from kb_tools.records.fields import PAPER_KINDS

_LISTED = 3  # how many names a reason spells out


class Readable(Protocol):
    """What the order asks of a record; a `Record` and an index `Entry` both have it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def year(self) -> int | None: ...
    @property
    def status(self) -> str: ...
    @property
    def worth_reading(self) -> int | None: ...
    @property
    def builds_on(self) -> list[str]: ...


@dataclass(frozen=True)
class Step:
    """One step of a reading order.

    ids: the paper, or several that build on each other and are read together.  needs: what it builds on directly, and
    needed_by: what builds on it directly, both inside this order.  opens: how many papers of this order build on it,
    directly or not.  worth_reading: its own best score; priority: the best score among it and what it opens.
    """

    ids: tuple[str, ...]
    why: str
    needs: tuple[str, ...]
    needed_by: tuple[str, ...]
    opens: int
    worth_reading: int
    priority: int


@dataclass(frozen=True)
class Suggestion:
    """What to read next, and why in one sentence."""

    ids: tuple[str, ...]
    why: str
    opens: int


def reading_order(records: Mapping[str, Readable], goals: Iterable[str] = (), done: Collection[str] = ()) -> list[Step]:
    """Everything that `goals` need, directly or not, and the goals themselves, in the order to read it.

    Without goals: all papers, surveys and tutorials.  Ids of `done` are left out afterwards, so reading something
    never moves anything else.  Edges to ids that are no paper of the collection are ignored (check reports them).
    Raises NotFoundError for a goal that is no paper of the collection.
    """
    papers = {ident: record for ident, record in sorted(records.items()) if record.kind in PAPER_KINDS}
    goals = list(goals)
    for goal in goals:
        if goal not in papers:
            raise NotFoundError(
                f"{goal!r} is no paper of the collection, so it cannot be a goal",
                hint="a goal is a paper, a survey or a tutorial",
            )
    wanted = set(goals).union(*(_needed(papers, goal) for goal in goals)) if goals else papers.keys()
    needs_of: dict[str, list[str]] = {}
    opens_of: dict[str, list[str]] = {ident: [] for ident in papers if ident in wanted}
    for ident in opens_of:
        needs_of[ident] = [
            need for need in dict.fromkeys(papers[ident].builds_on) if need in opens_of and need != ident
        ]
        for need in needs_of[ident]:
            opens_of[need].append(ident)

    # Each group comes after all that it leads to, so what is above it is known when it is reached.
    members = [sorted(group, key=lambda i: _by_age(papers[i])) for group in components(opens_of)]
    group_of = {ident: group for group, ids in enumerate(members) for ident in ids}
    bit = {ident: 1 << number for number, ident in enumerate(group_of)}
    leads_to: list[set[int]] = []
    above: list[int] = []  # as bits: all that builds on a group, directly or not
    own: list[int] = []
    priority: list[int] = []
    for group, ids in enumerate(members):
        targets = {group_of[other] for ident in ids for other in opens_of[ident]} - {group}
        reached = 0
        for target in targets:
            reached |= above[target]
            for ident in members[target]:
                reached |= bit[ident]
        leads_to.append(targets)
        above.append(reached)
        own.append(max(papers[ident].worth_reading or 0 for ident in ids))
        priority.append(max([own[group], *(priority[target] for target in targets)]))

    def key(group: int) -> tuple:
        first = papers[members[group][0]]
        return (first.kind != "tutorial", -priority[group], *_by_age(first))

    sequence = topological(leads_to, key)
    place = {ident: number for number, group in enumerate(sequence) for ident in members[group]}
    steps = []
    for group in sequence:
        ids = tuple(ident for ident in members[group] if ident not in done)
        if not ids:
            continue
        inside = set(members[group])
        needs = _outside(needs_of, members[group], inside, place)
        needed_by = _outside(opens_of, members[group], inside, place)
        opens = above[group].bit_count()
        step = Step(ids, "", needs, needed_by, opens, own[group], priority[group])
        steps.append(Step(ids, _reason(step, papers, goals), needs, needed_by, opens, own[group], priority[group]))
    return steps


def next_papers(records: Mapping[str, Readable], *, goals: Iterable[str] = (), count: int = 3) -> list[Suggestion]:
    """The first `count` steps whose prerequisites are all read or skipped; what was begun comes first."""
    done = {ident for ident, record in records.items() if record.status in ("read", "skipped")}
    begun = {ident for ident, record in records.items() if record.status == "reading"}
    ready = [step for step in reading_order(records, goals, done) if done.issuperset(step.needs)]
    ready.sort(key=lambda step: begun.isdisjoint(step.ids))
    return [
        Suggestion(
            step.ids, _why_next(step, records, begun, {i for i in done if records[i].status == "read"}), step.opens
        )
        for step in ready[:count]
    ]


def main_goals(records: Mapping[str, Readable]) -> list[str]:
    """The papers worth most that no other such paper builds on: where the paths of the collection lead."""
    best = {ident for ident, record in records.items() if record.kind == "paper" and record.worth_reading == 3}
    below = set().union(*(_needed(records, ident) - {ident} for ident in best))
    return sorted((ident for ident in best - below if records[ident].builds_on), key=lambda i: _by_age(records[i]))


def _needed(records: Mapping[str, Readable], ident: str) -> set[str]:
    """All that a paper builds on, directly or not."""
    left = list(records[ident].builds_on)
    seen: set[str] = set()
    while left:
        need = left.pop()
        if need in records and need not in seen:
            seen.add(need)
            left += records[need].builds_on
    return seen


def _by_age(record: Readable) -> tuple[int, str]:
    return record.year or 9999, record.id


def _outside(
    neighbours: Mapping[str, list[str]], ids: list[str], inside: set[str], place: Mapping[str, int]
) -> tuple[str, ...]:
    found = {other for ident in ids for other in neighbours[ident]} - inside
    return tuple(sorted(found, key=lambda other: (place[other], other)))


def _reason(step: Step, papers: Mapping[str, Readable], goals: list[str]) -> str:
    parts = []
    first = papers[step.ids[0]]
    if len(step.ids) > 1:
        parts.append(f"read {_names(step.ids)} together: they build on each other")
    reached = [ident for ident in step.ids if ident in goals]
    if reached:
        parts.append("the goal" + (f"; it builds on {_names(step.needs)}" if step.needs else " itself"))
    elif step.needed_by:
        parts.append(f"needed for {_names(step.needed_by)}")
        if step.opens > len(step.needed_by):
            parts.append(f"opens {step.opens} papers in all")
        if step.priority > step.worth_reading > 0:
            parts.append(f"worth {step.worth_reading} of 3 itself, but it leads to {step.priority}")
    elif first.kind == "tutorial":
        parts.append("a tutorial: it asks for nothing and helps with all that follows")
    elif step.needs:
        parts.append(f"builds on {_names(step.needs)}" + _worth(step))
    else:
        parts.append("stands by itself" + _worth(step))
    return _sentence(parts)


def _why_next(step: Step, records: Mapping[str, Readable], begun: set[str], read: set[str]) -> str:
    parts = []
    if not begun.isdisjoint(step.ids):
        parts.append("you have begun it")
    known = tuple(need for need in step.needs if need in read)
    if known:
        parts.append(f"you have read {_names(known)}")
    elif records[step.ids[0]].kind == "tutorial":
        parts.append("a tutorial that asks for nothing")
    elif not step.needs:
        parts.append("it asks for nothing")
    if step.opens:
        papers = "paper" if step.opens == 1 else "papers"
        parts.append(f"it opens {step.opens} {papers}, first {_names(step.needed_by)}")
    elif step.worth_reading:
        parts.append(f"worth reading {step.worth_reading} of 3")
    return _sentence(parts)


def _worth(step: Step) -> str:
    return f"; worth reading {step.worth_reading} of 3" if step.worth_reading else ""


def _names(ids: tuple[str, ...]) -> str:
    if len(ids) > _LISTED:
        return ", ".join(ids[:_LISTED]) + f" and {len(ids) - _LISTED} more"
    *first, last = ids
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(parts: list[str]) -> str:
    words = "; ".join(parts)
    return words[:1].upper() + words[1:] + "." if parts else ""
