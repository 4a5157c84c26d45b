"""Plain text as LaTeX writes it in a bibliography, and back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylatexenc.latex2text import LatexNodes2Text

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_ESCAPES = str.maketrans(_SPECIAL)
# Pairs that TeX draws as one character: an empty group keeps them apart.
_LIGATURE = re.compile(r"(?<=-)-|(?<=`)`|(?<=')'|(?<=[?!])`|(?<=<)<|(?<=>)>|(?<=,),")
_MAY_BE_LATEX = re.compile(r"[\\{}$~%&]|--|``|''|[?!]`|<<|>>|,,")
# What stands between dollars and is no price: one letter at least, a command, an index or nothing longer than a name.
_FORMULA = re.compile(
    r"(?<![\\$])\$(?!\s)((?:\\[A-Za-z]+|\\[{}|,;!]|[A-Za-z0-9{}^_+\-*/=().,|:;! ])+?)(?<!\s)\$(?![\d$])"
)
_TWO_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,} +[A-Za-z]{2,}")
_MATHS = re.compile(r"(?<!\\)(\$[^$]*\$)")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
# Commands that only say how text looks, or how a style sorts it, and that the converter does not know.
_LOOKS = re.compile(
    r"\\(?:text(?:tt|sc|sf|rm|up|md|sl|normal|subscript|superscript)|text|mbox|hbox|underline|uline)\s*(?=\{)"
    r"|\\(?:em|it|bf|sc|sf|sl|tt|rm|bfseries|mdseries|itshape|slshape|scshape|upshape|ttfamily|sffamily|rmfamily|small|"
    r"large|normalsize|normalfont|protect|relax|xspace)(?![A-Za-z])\s*"
    r"|\\noopsort\s*\{[^{}]*\}"
)
_LOGO = re.compile(r"\\((?:La|Bib)?TeX)(?![A-Za-z])")
# A command, a group that may hold one, a dollar alone, or a pair that TeX reads in its own way.
_NOT_SIMPLE = re.compile(r"\\(?![%&#_])|(?<!\\)\$|[?!]`|<<|>>|,,|\{\s|\n\s*\n|\\[%&#_]\s*\{")
_SIMPLE_FORMULA = re.compile(r"\$(?:[^$%&~#\\]|\\[A-Za-z]+|\\[{}|,;! ])+\$")
_SIGN = re.compile(r"\\[%&#_]|[{}~]|-{2,3}|``|''")
_MEANT = {"{": "", "}": "", "~": " ", "--": "\u2013", "---": "\u2014", "``": "\u201c", "''": "\u201d"}
_URL = re.compile(r"https?://[^\s{}]+")
_ACCENT = re.compile(
    r"""(\{?)(
        \\["'`^~=.]\s*(?:\{\\?[A-Za-z]\}|\\[ij](?![A-Za-z])|[A-Za-z])
      | \\[cvHukrbdt](?:\s*\{\\?[A-Za-z]\}|\s+[A-Za-z](?![A-Za-z]))
      | \\(?:ss|ae|AE|oe|OE|aa|AA|o|O|l|L|i|j)(?![A-Za-z])(?:\{\}|\s)?
    )(\}?)""",
    re.VERBOSE,
)


class NotLatexError(ValueError):
    """A text that the converter cannot read; it is kept as its source."""


def escaped(value: str) -> str:
    """`value` with the characters that TeX reads made plain; formulas stay formulas."""
    if "$" not in value:
        return _escaped(value)
    parts, end = [], 0
    for start, stop in formulas(value):
        parts += [_escaped(value[end:start]), value[start:stop]]
        end = stop
    return "".join([*parts, _escaped(value[end:])])


def formulas(value: str) -> list[tuple[int, int]]:
    """Where the formulas of a text begin and end, their dollars included."""
    if "$" not in value:
        return []
    return [found.span() for found in _FORMULA.finditer(value) if _is_formula(found.group())]


def symbols(value: str) -> str:
    """A piece of a formula as letters of Unicode.  Raises NotLatexError where it is more than that."""
    value = re.sub(r"(\\[A-Za-z]+)\{(\w)\}", r"\1 \2", value)
    commands = re.findall(r"\\([A-Za-z]+)", value)
    if any(not _is_known(command) for command in commands) or not set(value).isdisjoint("{}^_&%$#~"):
        raise NotLatexError("more than letters")
    try:
        written = _converter().latex_to_text(value) if commands else value
    except Exception as error:  # noqa: BLE001 - as in `plain`
        raise NotLatexError(f"the converter stops at it ({type(error).__name__})") from None
    if "\\" in written or (commands and not written.strip()):
        raise NotLatexError("more than letters")
    return written


def _escaped(value: str) -> str:
    return _LIGATURE.sub(lambda pair: "{}" + pair.group(), value.translate(_ESCAPES))


def _is_formula(text: str) -> bool:
    """Whether TeX sets a text between dollars as one formula, and it comes back as it is."""
    inner = text[1:-1]
    if not re.search(r"[A-Za-z]", inner) or _TWO_WORDS.search(inner) or inner.count("{") != inner.count("}"):
        return False
    try:
        return plain(text) == text
    except NotLatexError:
        return False


def plain(value: str) -> str:
    """LaTeX as text: accents composed, markup and braces gone, formulas and unknown commands as they are.

    A bare `%` or `&` is text: bibliographies are full of them.  Raises NotLatexError.
    """
    if not _MAY_BE_LATEX.search(value):
        return value
    simple = _simple(value)
    return _converted(value) if simple is None else simple


def _converted(value: str) -> str:
    """What the converter makes of LaTeX.  Raises NotLatexError."""
    try:
        return _converter().latex_to_text(_prepared(value))
    except Exception as error:  # noqa: BLE001 - the converter raises whatever it meets, IndexError and RecursionError too
        raise NotLatexError(f"the converter stops at it ({type(error).__name__})") from None


def _simple(value: str) -> str | None:
    """LaTeX with no more than accents, escapes, braces, formulas and ligatures as text; None where there is more.

    The converter says the same and looks at every letter: an abstract costs it a hundredth of a second.
    """
    if "\\$" in value or ("~" in value and "://" in value):
        return None
    parts = _MATHS.split(value)
    if not all(_SIMPLE_FORMULA.fullmatch(part) and part.count("{") == part.count("}") for part in parts[1::2]):
        return None
    for place in range(0, len(parts), 2):
        text = _ACCENT.sub(_letter, parts[place]) if "\\" in parts[place] else parts[place]
        if _NOT_SIMPLE.search(text) or text.count("{") != text.count("}"):
            return None
        parts[place] = _SIGN.sub(lambda found: _MEANT.get(found.group(), found.group()[1:]), text)
    return "".join(parts)


def accented(value: str) -> str:
    """Text in which somebody wrote letters as TeX: they become letters, all else stays as it is."""
    if "\\" not in value:
        return value
    return "".join(part if part.startswith("$") else _ACCENT.sub(_letter, part) for part in _MATHS.split(value))


def _letter(found: re.Match[str]) -> str:
    """The letter that a command writes, with a pair of braces around it gone; the source where it is none."""
    before, command, after = found.groups()
    letter = _one_letter(command)
    if letter is None:
        return found.group()
    return letter if before and after else before + letter + after


@lru_cache(maxsize=1000)
def _one_letter(command: str) -> str | None:
    """The letter that an accent and what it stands on are; None where they are none."""
    try:
        letter = unicodedata.normalize("NFC", _converted(command)).strip()
    except NotLatexError:
        return None
    return letter if len(letter) == 1 else None


def _prepared(value: str) -> str:
    """LaTeX in which nothing is a comment, a column or an unknown command any more."""
    value = re.sub(r"(?<!\\)((?:\\\\)*)([%&])", r"\1\\\2", value)
    value = re.sub(r"(\\[A-Za-z]+)\s+(?=\{)", r"\1", value)
    value = re.sub(r"\\href\{([^{}]*)\}\s*", r"\1 ", value)  # the converter knows its name and not its arguments
    if len(re.findall(r"(?<!\\)\$", value)) % 2:
        value = re.sub(r"(?<!\\)\$", r"\\$", value)
    return "".join(part if part.startswith("$") else _protected(part) for part in _MATHS.split(value))


def _protected(value: str) -> str:
    """Text whose unknown commands, with the groups behind them, are written as the text that they are."""
    value = _LOGO.sub(r"\1", _LOOKS.sub("", value)) if "\\" in value else value
    value = _URL.sub(lambda url: url.group().replace("~", r"\textasciitilde{}"), value) if "~" in value else value
    found = [command for command in _COMMAND.finditer(value) if not _is_known(command[1])]
    if not found:
        return value
    changes: dict[int, str] = {}
    for command in found:
        changes[command.start()] = r"\textbackslash{}"
        for place, brace in _groups(value, command.end()):
            changes[place] = "\\" + brace
    return "".join(changes.get(place, letter) for place, letter in enumerate(value))


def _groups(value: str, start: int) -> Iterator[tuple[int, str]]:
    """The outer braces of the groups that follow one another from `start`."""
    while value[start : start + 1] == "{":
        depth = 0
        for place in range(start, len(value)):
            depth += {"{": 1, "}": -1}.get(value[place], 0) if value[place - 1] != "\\" else 0
            if depth == 0:
                yield start, "{"
                yield place, "}"
                start = place + 1
                break
        else:
            return


@cache
def _is_known(command: str) -> bool:
    spec = _converter().latex_context.get_macro_spec(command)
    return bool(spec and spec.macroname == command)


@cache
def _converter() -> LatexNodes2Text:
    from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, SpecialsTextSpec, get_default_latex_context_db

    context = get_default_latex_context_db()
    # A tie is a space in a title; \textasciicircum is the ASCII character, not the accent.
    context.add_context_category(
        "bibliography",
        prepend=True,
        macros=[MacroTextSpec("textasciicircum", "^")],
        specials=[SpecialsTextSpec("~", " ")],
    )
    return LatexNodes2Text(context, math_mode="verbatim", strict_latex_spaces=False)
