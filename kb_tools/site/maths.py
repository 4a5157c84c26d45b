"""LaTeX to MathML, at build time, in the form that browsers draw (MathML Core).

latex2mathml does the parsing.  What it leaves to `mathvariant`, which MathML Core ignores, becomes the characters of
the mathematical alphabets here; the result is checked to be well formed, and holds no element or attribute that is
not on a list.
"""

from __future__ import annotations

import re
from functools import lru_cache
from xml.etree import ElementTree

from markupsafe import Markup

from kb_tools.site.typeset import BARS, CLOSERS, PAIRS, put_right

MATHML = "http://www.w3.org/1998/Math/MathML"
# fmt: off
ELEMENTS = frozenset((
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder",
    "mover", "munderover", "mtable", "mtr", "mtd", "mpadded", "mphantom", "mstyle",
))
ATTRIBUTES = frozenset((
    "display", "stretchy", "fence", "form", "lspace", "rspace", "minsize", "maxsize", "width", "height", "depth",
    "linethickness", "accent", "accentunder", "displaystyle", "scriptlevel", "mathvariant",
    "movablelimits", "separator", "largeop",
))
# fmt: on
ARGUMENTS = {
    "mfrac": 2,
    "mroot": 2,
    "msub": 2,
    "msup": 2,
    "msubsup": 3,
    "munder": 2,
    "mover": 2,
    "munderover": 3,
}

_BRACES = frozenset("⏟⏞︷︸")
_OPEN, _CLOSE = frozenset("([{|‖⌊⌈"), frozenset(")]}|‖⌋⌉")
_ROWS = ("math", "msqrt", "mtd", "mstyle", "mpadded", "mphantom")  # they are rows themselves
_SIZED = {  # delimiters that the converter leaves as they were typed after \\big and its kin
    "\\lfloor": "⌊", "\\rfloor": "⌋", "\\lceil": "⌈", "\\rceil": "⌉", "\\langle": "⟨", "\\rangle": "⟩",
    "\\{": "{", "\\}": "}", "\\|": "‖", "\\vert": "|", "\\Vert": "‖",
}  # fmt: skip
_GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡϴΣΤΥΦΧΨΩ∇αβγδεζηθικλμνξοπρςστυφχψω∂ϵϑϰϕϱϖ"
_GREEK_BASE = {"bold": 0x1D6A8, "italic": 0x1D6E2, "bold-italic": 0x1D71C}
_LATIN_BASE = {"bold": 0x1D400, "bold-italic": 0x1D468, "script": 0x1D49C, "double-struck": 0x1D538}
_EXCEPTIONS = {
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
}
_REWRITES = (
    (re.compile(r"\\bm\b"), r"\\boldsymbol"),
    (re.compile(r"\\(begin|end)\{(aligned|split|alignedat)\}"), r"\\\1{align*}"),
    (re.compile(r"\\[dt]frac\b"), r"\\frac"),
    (re.compile(r"\\(?:no(?:number|tag)|label\{[^{}]*\}|tag\{[^{}]*\})"), ""),
    (re.compile(r"(?<!\\):="), r"\\coloneqq "),
    (re.compile(r"\\arg(?![A-Za-z])"), r"\\operatorname{arg}"),
    (re.compile(r"\\!"), ""),  # a space below nothing, which MathML Core has not
)


class MathError(ValueError):
    """A piece of LaTeX that cannot be shown; the message says why."""


@lru_cache(maxsize=1 << 12)
def mathml(tex: str, *, display: bool = True) -> Markup:
    """`tex` as a <math> element that carries the LaTeX as its label.

    Errors: MathError when the LaTeX cannot be parsed or would need something MathML Core has not.
    """
    from latex2mathml import exceptions
    from latex2mathml.converter import convert

    unparsable = tuple(v for v in vars(exceptions).values() if isinstance(v, type) and issubclass(v, Exception))

    for pattern, replacement in _REWRITES:
        tex = pattern.sub(replacement, tex)
    try:
        xml = convert(tex, display="block" if display else "inline")
        root = ElementTree.fromstring(re.sub(r">&<", ">&amp;<", xml))  # noqa: S314
    except (*unparsable, ValueError, LookupError, RecursionError, ElementTree.ParseError) as error:
        raise MathError(f"{type(error).__name__}: {error}") from error
    _tidy(root)
    for node in reversed(list(root.iter())):
        _unwrap(node)
    put_right(root, f"{{{MATHML}}}")
    for node in root.iter():
        _leave_to_defaults(node)
    for node in root.iter():  # HTML knows its own MathML: no namespace is written
        node.tag = _name(node)
    root.attrib = {"display": "block"} if display else {}
    return Markup(ElementTree.tostring(root, encoding="unicode").replace(" />", "/>"))  # noqa: S704


def alphabet(char: str, variant: str) -> str:
    """`char` in a mathematical alphabet, or itself where that alphabet has no such letter."""
    if char in _EXCEPTIONS.get(variant, {}):
        return _EXCEPTIONS[variant][char]
    if char in _GREEK and variant in _GREEK_BASE:
        return chr(_GREEK_BASE[variant] + _GREEK.index(char))
    if char.isascii() and char.isalpha() and variant in _LATIN_BASE:
        offset = ord(char) - ord("A") if char.isupper() else ord(char) - ord("a") + 26
        return chr(_LATIN_BASE[variant] + offset)
    if char.isascii() and char.isdigit() and variant.startswith("bold"):
        return chr(0x1D7CE + int(char))
    return char


def _name(node: ElementTree.Element) -> str:
    return node.tag.removeprefix(f"{{{MATHML}}}")


def _unwrap(node: ElementTree.Element) -> None:
    """Takes out the <mrow>s that group nothing: those around one element, and those alone in an element of its kind."""
    for place, child in enumerate(node):
        while _name(child) == "mrow" and len(child) == 1 and not child.attrib:
            child = child[0]
        node[place] = child
    if len(node) == 1 and _name(node) in _ROWS and _name(node[0]) == "mrow" and not node[0].attrib:
        node[:] = list(node[0])


def _leave_to_defaults(row: ElementTree.Element) -> None:
    """Takes off what browsers take for granted of a bracket that begins or ends its row: its form, and that it grows.

    MathML Core, 3.2.4.2: the first of a row with more than one element is a prefix, the last is a postfix.  Its
    operator dictionary has the brackets of _OPEN and _CLOSE as stretchy in these forms.  It does not know `fence`.
    """
    for node in row:
        node.attrib.pop("fence", None)
    if len(row) < 2 or _name(row) not in ("mrow", *_ROWS):
        return
    for node, form, brackets in ((row[0], "prefix", _OPEN), (row[-1], "postfix", _CLOSE)):
        if node.get("form") == form and node.text in brackets:
            del node.attrib["form"]
            if node.get("stretchy") == "true":
                del node.attrib["stretchy"]


def _tidy(root: ElementTree.Element) -> None:
    for node in root.iter():
        name = _name(node)
        if len(node) != ARGUMENTS.get(name, len(node)):
            raise MathError(f"<{name}> needs {ARGUMENTS[name]} arguments and has {len(node)}")
        if name not in ELEMENTS:
            raise MathError(f"<{name}> has no place in an equation")
        if name == "mo" and node.text in _SIZED:
            node.text = _SIZED[node.text]
        if "\\" in (node.text or ""):
            raise MathError(f"{node.text} is not known")
        for attribute in [a for a in node.attrib if a not in ATTRIBUTES]:
            del node.attrib[attribute]
        variant = node.get("mathvariant")
        if variant and variant != "normal":
            del node.attrib["mathvariant"]
            node.text = "".join(alphabet(c, variant) for c in node.text or "")
        if name == "mi" and (node.text in PAIRS or node.text in CLOSERS):
            node.tag, node.attrib = f"{{{MATHML}}}mo", {"stretchy": "false"}
            if node.text not in BARS:
                node.set("form", "prefix" if node.text in PAIRS else "postfix")
        if name == "mo" and node.text in _BRACES:
            raise MathError("a brace under or over an expression is not drawn alike everywhere: name its parts")
        if name == "mi" and node.text == "~":
            node.tag, node.text = f"{{{MATHML}}}mo", "∼"  # the relation, which stands apart from what it relates
        if name == "mi" and node.text in (":", ";", ",", "!"):
            node.tag = f"{{{MATHML}}}mo"
            if node.text in (";", ","):
                node.set("separator", "true")
        if name == "mi" and node.text == "&":
            raise MathError("an alignment mark (&) outside an alignment")
