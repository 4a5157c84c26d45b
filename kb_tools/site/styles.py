"""The theme's style sheets without what no page of this site can match: a pass over well-formed CSS, by names.

A rule stays when each class, element and value of the theme's own attributes that one of its selectors asks for is a
word that some page or script has.  That keeps more than matches, and never less.  Then go the animations and the
variables that nothing refers to any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_STEP = re.compile(rf"{_STRING}|url\([^'\")]*\)|[{{}};]|[^{{}};'\"u]+|u", re.DOTALL)
_NESTED = ("@media", "@supports", "@layer", "@container")
_CLASS = re.compile(r"\.((?:[\w-]|\\.)+)")
_ID = re.compile(r"#((?:[\w-]|\\.)+)")
_ELEMENT = re.compile(r"(?<![\w.#:\\-])([a-z][a-z0-9]*)(?![\w-]*\()")
_ATTRIBUTE = re.compile(rf"\[\s*(data-md-[\w-]+)\s*(?:[~|^$*]?=\s*({_STRING}|[\w-]+))?[^\]]*\]")
_CHOICE = re.compile(r":(?:is|where|-webkit-any|matches)\(((?:[^()]|\([^()]*\))*)\)")
_PSEUDO = re.compile(r"(?<!\\)::?[\w-]+(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?")
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)")
_NAMES = re.compile(r"[\w-]+")


@dataclass
class Words:
    """What pages are made of: names of elements and classes, and what scripts may name."""

    elements: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    scripts: set[str] = field(default_factory=set)

    def add_page(self, html: str, *, frame: bool = False) -> None:
        """frame: with the identifiers and the theme's own attributes too, which are the same on every page."""
        self.elements.update(re.findall(r"<([a-z][a-z0-9]*)", html))
        for names in set(re.findall(r'class="([^"]*)"', html)):
            self.classes.update(names.split())
        if frame:
            self.ids.update(re.findall(r'\bid="([^"]*)"', html))
            for name, value in re.findall(r'(data-md-[\w-]+)(?:="([^"]*)")?', html):
                self.attributes.update((name, f"{name}={value}"))

    def add_script(self, code: str) -> None:
        self.scripts.update(_NAMES.findall(code))

    def may_match(self, selector: str) -> bool:
        """Whether there could be an element for one selector without commas outside brackets."""
        for inner in _CHOICE.findall(selector):
            if not any(self.may_match(one) for one in _split(inner)):
                return False
        bare = _CHOICE.sub("", selector)
        for name, value in _ATTRIBUTE.findall(bare):
            said = value.strip("\"'")
            known = not value or f"{name}={said}" in self.attributes or said in self.scripts
            if name not in self.attributes or not known:
                return False
        bare = _PSEUDO.sub("", re.sub(rf"\[(?:[^\]\"']|{_STRING})*\]", "", bare))
        return (
            all(self._has(_plain(name), self.classes) for name in _CLASS.findall(bare))
            and all(_plain(name) in self.ids for name in _ID.findall(bare))
            and all(self._has(name, self.elements) for name in _ELEMENT.findall(_CLASS.sub("", _ID.sub("", bare))))
        )

    def _has(self, name: str, among: set[str]) -> bool:
        return name in among or name in self.scripts


@dataclass
class _Rule:
    """A rule, or an at-rule: `inner` are those inside it, `body` its declarations or all that it says."""

    head: str
    body: str = ""
    inner: list[_Rule] | None = None


def pruned(sheets: Mapping[str, str], words: Words, others: Iterable[str]) -> dict[str, str]:
    """The sheets without what cannot match.  others: sheets that are left alone, and may use what these define."""
    rules = {name: list(_kept(_parse(css), words)) for name, css in sheets.items()}
    beside = "".join(others)
    while True:
        text = beside + "".join(_text(each) for each in rules.values())
        used = set(_VARIABLE.findall(text))
        animations = set(_NAMES.findall(" ".join(re.findall(r"animation(?:-name)?:([^;}]*)", text))))
        fewer = {name: list(_referred(each, used, animations)) for name, each in rules.items()}
        if all(_text(fewer[name]) == _text(rules[name]) for name in rules):
            return {name: _text(each) for name, each in rules.items()}
        rules = fewer


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _parse(css: str) -> list[_Rule]:
    """Rules of a sheet.  Errors: ValueError when its braces do not pair."""
    steps = _STEP.findall(_COMMENT.sub("", css))
    if "".join(steps) != _COMMENT.sub("", css):
        raise ValueError("not a style sheet that can be read")
    rules, rest = _block(steps, 0)
    if rest != len(steps):
        raise ValueError("a brace too many")
    return rules


def _block(steps: list[str], at: int) -> tuple[list[_Rule], int]:
    """The rules from `at` on, up to the brace that closes them or the end, and where that is."""
    rules, head = [], ""
    while at < len(steps):
        step = steps[at]
        if step == "}":
            break
        if step == ";":
            rules.append(_Rule(head.strip() + ";"))
            head = ""
        elif step == "{" and head.strip().startswith(_NESTED):
            inner, at = _block(steps, at + 1)
            rules.append(_Rule(head.strip(), inner=inner))
            head = ""
        elif step == "{":
            body, at = _body(steps, at + 1)
            rules.append(_Rule(head.strip(), body))
            head = ""
        else:
            head += step
        at += 1
    return rules, at


def _body(steps: list[str], at: int) -> tuple[str, int]:
    depth, said = 1, ""
    while True:
        if at == len(steps):
            raise ValueError("a brace that nothing closes")
        depth += (steps[at] == "{") - (steps[at] == "}")
        if not depth:
            return said, at
        said += steps[at]
        at += 1


def _kept(rules: Iterable[_Rule], words: Words) -> Iterator[_Rule]:
    for rule in rules:
        if rule.inner is not None:
            inner = list(_kept(rule.inner, words))
            if inner:
                yield _Rule(rule.head, inner=inner)
        elif rule.head.startswith("@"):
            yield rule
        else:
            selectors = [one for one in _split(rule.head) if words.may_match(one)]
            if selectors:
                yield _Rule(",".join(selectors), rule.body)


def _referred(rules: Iterable[_Rule], used: set[str], animations: set[str]) -> Iterator[_Rule]:
    """Without the variables and the animations that nothing refers to."""
    for rule in rules:
        if rule.inner is not None:
            inner = list(_referred(rule.inner, used, animations))
            if inner:
                yield _Rule(rule.head, inner=inner)
        elif rule.head.startswith("@"):
            if "keyframes" not in rule.head or rule.head.split()[-1] in animations:
                yield rule
        else:
            said = [one for one in _declarations(rule.body) if not one.startswith("--") or one.split(":")[0] in used]
            if said:
                yield _Rule(rule.head, ";".join(said))


def _declarations(body: str) -> list[str]:
    """The declarations of a rule; a semicolon in quotes or brackets ends none."""
    found = re.findall(rf"(?:{_STRING}|\((?:[^()'\"]|{_STRING}|\([^()]*\))*\)|[^;'\"(])+", body)
    return [one.strip() for one in found if one.strip()]


def _split(selectors: str) -> list[str]:
    """The selectors of a list; a comma in brackets parts none."""
    out, depth = [""], 0
    for part in re.findall(rf"{_STRING}|[(),\[\]]|[^(),\[\]'\"]+", selectors):
        depth += (part in "([") - (part in ")]")
        if part == "," and not depth:
            out.append("")
        else:
            out[-1] += part
    return [one.strip() for one in out if one.strip()]


def _text(rules: Iterable[_Rule]) -> str:
    return "".join(_written(rule) for rule in rules)


def _written(rule: _Rule) -> str:
    if rule.head.endswith(";"):
        return rule.head
    return f"{rule.head}{{{rule.body if rule.inner is None else _text(rule.inner)}}}"
