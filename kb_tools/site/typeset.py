"""MathML put so that every browser draws it alike: pairs of delimiters, names of functions, letters, accents, roots.

Chromium stretches a delimiter only as a child of a row: one that carries a script stays small beside its partner.
Which form a bar has is told by its place in a row, so that a pair needs a row of its own.
"""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element

PAIRS = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⌊": "⌋", "⌈": "⌉"}
BARS = frozenset("|‖")
CLOSERS = BARS | frozenset(PAIRS.values())
SCRIPTS = ("msub", "msup", "msubsup")
ROWS = ("math", "mrow", "msqrt", "mtd", "mstyle", "mpadded", "mphantom")
# fmt: off
FUNCTIONS = frozenset((
    "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "deg", "det", "dim", "exp", "hom", "ker",
    "lg", "ln", "log", "sec", "sin", "sinh", "tan", "tanh",
))
# fmt: on
SIGNS = frozenset("+−-±")
THIN = "0.167em"
STRUT = {"height": "0.8em", "depth": "0.2em"}  # what a bracket takes; for any more the next size of root is taken
BIG = "1.2em"  # what the converter makes of \big
LETTERS = frozenset("∂∇∅∞…⊤⊥")  # letters to a reader: as operators they would get space on both sides
ACCENTS = {"^": "ˆ", "~": "˜", "¯": "¯"}  # over one letter: those that a font draws at an accent's place and size
_BREAKS = frozenset("=≈≠<>≤≥≔∼∝→,;+−-±")  # what a bar at the end of an expression does not reach across


def put_right(root: Element, space: str = "") -> None:
    """Changes the tree in place.  space: the namespace of its elements, as ElementTree writes it."""
    for node in root.iter():
        _as_letter(node, space)
        _accent(node)
    rows = [node for node in root.iter() if _kind(node) in ROWS]
    for row in rows:
        _pair(row, space)
    for row in [node for node in root.iter() if _kind(node) in ROWS]:
        _set_apart(row, space)
        _sign(row)
    for node in root.iter(f"{space}msqrt"):
        _raise_roof(node, space)


def _as_letter(node: Element, space: str) -> None:
    """Letters that came as operators, names of operators without space of their own, bars that need not be drawn."""
    if _kind(node) != "mo":
        return
    if node.text in LETTERS:
        node.tag = f"{space}mi"
        node.attrib = {"mathvariant": "normal"} if node.text == "∇" else {}
    elif _word(node):
        node.attrib |= {"lspace": "0", "rspace": "0"}
    elif node.text in BARS and node.get("maxsize") == BIG:  # as high as the plain one, and drawn of pieces
        node.attrib = {"stretchy": "false"}


def _accent(node: Element) -> None:
    if _kind(node) == "mover" and _kind(node[1]) == "mo" and not len(node[0]) and len(node[0].text or "") == 1:
        sign = node[1]
        if sign.text in ACCENTS:
            sign.text, sign.attrib = ACCENTS[sign.text], {"stretchy": "false"}


def _word(node: Element) -> bool:
    text = node.text or ""
    return len(text) > 1 and text.isalpha()


def _kind(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _delimiter(node: Element) -> str:
    """The character of a delimiter, with or without a script, or nothing."""
    core = node[0] if _kind(node) in SCRIPTS else node
    known = _kind(core) == "mo" and (core.text in CLOSERS or core.text in PAIRS)
    return str(core.text) if known else ""


def _pair(row: Element, space: str) -> None:
    """Puts what stands in delimiters, and these, into a row of its own where a script or a size needs it."""
    place = 0
    while place < len(row):
        node, sign = row[place], _delimiter(row[place])
        scripted = bool(sign) and _kind(node) in SCRIPTS
        if sign in CLOSERS and (scripted or (sign in BARS and node.get("minsize"))):
            start = _partner(row, place, sign)
            if start is None and scripted:
                start = _expression(row, place)
            if start is not None:
                inner = Element(f"{space}mrow")
                inner.extend([*row[start:place], node[0] if scripted else node])
                if scripted:
                    node[0] = inner
                row[start : place + 1] = [node if scripted else inner]
                place = start
        place += 1


def _partner(row: Element, place: int, sign: str) -> int | None:
    """Where the delimiter stands that opens what the one at `place` closes."""
    depth = 0
    for at in range(place - 1, -1, -1):
        seen = _delimiter(row[at])
        if not depth and sign in BARS and seen == sign and row[at].get("minsize") == _core(row[place]).get("minsize"):
            return at
        if seen in PAIRS:
            if not depth:
                return at if PAIRS[seen] == sign else None
            depth -= 1
        elif seen and seen not in BARS:
            depth += 1
    return None


def _core(node: Element) -> Element:
    return node[0] if _kind(node) in SCRIPTS else node


def _expression(row: Element, place: int) -> int:
    """Where the expression begins that a lone delimiter ends, as the bar of "at x = 0" does."""
    depth = 0
    for at in range(place - 1, -1, -1):
        sign = _delimiter(row[at])
        depth += sign in PAIRS.values()
        if not depth and (sign in PAIRS or _breaks(row[at])):
            return at + 1
        depth -= sign in PAIRS
    return 0


def _breaks(node: Element) -> bool:
    wide = _kind(node) == "mspace" and node.get("width", "") not in ("", THIN)
    return wide or (_kind(node) == "mo" and node.text in _BREAKS)


def _set_apart(row: Element, space: str) -> None:
    """A thin space on each side of a function's name, as in print: not before a bracket, not beside an operator."""
    place = 0
    while place < len(row):
        if _named(row[place]):
            after = row[place + 1] if place + 1 < len(row) else None
            if after is not None and _kind(after) not in ("mo", "mspace") and not _bracketed(after):
                row.insert(place + 1, Element(f"{space}mspace", width=THIN))
            before = row[place - 1] if place else None
            if before is not None and (_kind(before) not in ("mo", "mspace") or before.text in PAIRS.values()):
                row.insert(place, Element(f"{space}mspace", width=THIN))
                place += 1
        place += 1


def _sign(row: Element) -> None:
    """A minus or plus after another operator or an opening bracket is a sign, and stands close to its number."""
    for before, node in pairwise(row):
        operator = _kind(before) == "mo" and before.text not in CLOSERS and not _word(before)
        if operator and _kind(node) == "mo" and node.text in SIGNS:
            node.set("form", "prefix")


def _named(node: Element) -> bool:
    core = node[0] if _kind(node) in (*SCRIPTS, "munder", "mover", "munderover") else node
    return (_kind(core) == "mi" and core.text in FUNCTIONS) or (_kind(core) == "mo" and _word(core))


def _bracketed(node: Element) -> bool:
    """Whether it begins with a bracket: a row, or the base of a script that is one."""
    core = _core(node)
    return _kind(core) == "mrow" and len(core) > 0 and _delimiter(core[0]) in PAIRS


def _raise_roof(root: Element, space: str) -> None:
    """As much room under the bar of a root as a bracket takes: a bar that rested on a letter would read as its own."""
    root.insert(0, Element(f"{space}mspace", STRUT))
