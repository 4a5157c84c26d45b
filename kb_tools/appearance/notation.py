"""The plain-text mathematics of sentences, set: x_{t-1}, sigma^2, x~, grad_x log p, 1 / c_out^2, sqrt(abar_t), 1e-4.

One small grammar for all prose of records, evidence and docstrings.  What stands between back-quotes is code;
addresses, names of files and identifiers of more than a letter are left alone.  `unset` names what looks like
mathematics and is not in the grammar, for `kb check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε", "eta": "η", "theta": "θ",
    "lambda": "λ", "mu": "μ", "xi": "ξ", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_NAMES = {**_GREEK, "abar": "ᾱ", "alpha-bar": "ᾱ", "beta-tilde": "β̃", "grad": "∇"}
_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "~": "\u0303"}
_WORDS = frozenset(  # subscripts of more than a letter that are mathematics; after any other a name is an identifier
    "simple vlb hybrid uncond cond skip out in noise min max data sem model tmin tmax churn vr".split()  # noqa: SIM905
)
_LONGEST = "|".join(sorted(_NAMES, key=len, reverse=True))
_SUP = r"\^(?P<{}>\{{[^{{}}]{{1,12}}\}}|\([^()]{{1,12}}\)|-?\d{{1,3}}(?!\w)|[A-Za-z*](?!\w))"
_TOKEN = re.compile(
    rf"""
    `(?P<code>[^`]+)`
  | (?P<kept>https?://\S+ | \b10\.\d{{4,9}}/\S+ | [\w/-]+\.(?:py|ipynb|md|yaml|yml|json|txt|webp|com|org|net)\b\S*
      | \b\w+(?:/\w+)*/\w*_\w+ | \b(?!(?:{_LONGEST})_)[A-Za-z]\w+_\w+ | \b\w+\.\w*_\w+)
  | (?<![\w.])(?P<digits>\d+(?:\.\d+)?)e(?P<power>[+-]?\d{{1,3}})(?!\w|\.\w)
  | (?<!\w)d(?P<of>[xtw]|sigma)(?!\w)
  | (?P<root>(?<!\w)sqrt(?=\())
  | (?<![\w\\])(?<!\w['.]) (?P<name>{_LONGEST}|[A-Za-z]) (?![A-Za-z0-9]) (?P<tilde>~(?![\w/]))?
    (?:_(?P<sub>\{{[^{{}}\s]{{1,12}}\}}|[A-Za-z0-9]+(?![\w])))? (?:{_SUP.format("sup")})?
  | (?<=[)\]|]){_SUP.format("after")}
    """,
    re.VERBOSE,
)
_LOOKS = re.compile(r"\S*(?:(?<=\w)_(?=\w)|\^|(?<=\w)~|\bsqrt\b|\\[A-Za-z]|\bgrad_)\S*")
_NAME = re.compile(r"[A-Za-z]\w*_\w+")
_RAISED = str.maketrans("0123456789-−+()niT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻⁺⁽⁾ⁿⁱᵀ")

_NEAR = 80  # letters around a symbol that say what it is: looking at all of them takes the square of a text's length


class Piece(NamedTuple):
    """A stretch of a sentence: "text", "kept" as it is, "code", or "math" with its letter, index and power."""

    kind: str
    body: str
    sub: str = ""
    sup: str = ""
    upright: bool = False


def pieces(value: str) -> list[Piece]:
    """A sentence in its stretches."""
    return list(_pieces(value))


@lru_cache(maxsize=1 << 15)  # a sentence stands on several pages
def _pieces(value: str) -> tuple[Piece, ...]:
    out: list[Piece] = []
    last = 0
    for match in _TOKEN.finditer(value):
        made = _piece(match, value)
        if made is not None:
            out += [Piece("text", value[last : match.start()])] * (match.start() > last)
            out.append(made)
            last = match.end()
    out += [Piece("text", value[last:])] * (last < len(value))
    return tuple(_operators(out))


def _piece(match: re.Match[str], value: str) -> Piece | None:
    """What a match means, or nothing where it is a word like any other."""
    if match["code"]:
        return Piece("code", match["code"])
    if match["kept"]:
        return Piece("kept", match["kept"])
    if match["digits"]:
        digits = "" if match["digits"] == "1" else f"{match['digits']} × "
        return Piece("math", f"{digits}10", sup=_inner(str(int(match["power"]))), upright=True)
    if match["of"]:
        return Piece("math", "d" + _NAMES.get(match["of"], match["of"]))
    if match["root"]:
        return Piece("math", "√", upright=True)
    if match["after"]:
        return Piece("math", "", sup=_raise(match["after"]))
    return _symbol(match, value)


def _symbol(match: re.Match[str], value: str) -> Piece | None:
    name, sub, start, end = match["name"], match["sub"] or "", match.start(), match.end()
    before, after = value[max(start - _NEAR, 0) : start], value[end : end + _NEAR]
    letter = _NAMES.get(name, name)
    if sub in _ACCENTS:
        letter, sub = letter + _ACCENTS[sub], ""
    elif len(sub) > 1 and sub.isalpha() and sub not in _WORDS and sub not in _NAMES:
        return None
    if match["tilde"]:
        letter += _ACCENTS["~"]
    scripted = bool(match["tilde"] or match["sub"] or match["sup"])
    joined = re.match(r"-\w|-\s|[A-Za-z0-9_]|['’](?!s\b)\w", after) or re.search(r"\w-$", before)
    if not scripted and (joined or (len(name) == 1 and not _alone(name, before, after))):
        return None
    if name == "grad" and not scripted and not re.match(r" (?:log |[a-z]+[(_ )]|[a-z]\b)", after):
        return None
    return Piece("math", letter, _inner(sub), _raise(match["sup"] or ""), upright=name == "grad")


def _alone(letter: str, before: str, after: str) -> bool:
    """Whether a single letter between words is a symbol: `a` and `I` are words, capitals stand for much else."""
    if re.search(r"[\w./'’]$", before) or re.match(r"\.\w|/", after):
        return False
    if letter == "s" and re.search(r"[a-z]{2}\($", before) and after.startswith(")"):
        return False  # the plural of a word, in brackets
    if letter.isupper() or letter in "ai":
        return bool(re.match(r"\(|,? = | [<>≤≥] ", after)) and letter not in "AI"
    return True


def _inner(script: str) -> str:
    """A script with its signs and letters as they are printed."""
    bare = script[1:-1] if script[:1] in "{(" and script[-1:] in "})" else script
    names = re.sub(rf"(?<![A-Za-z])(?:{_LONGEST})(?![A-Za-z])", lambda found: _NAMES[found[0]], bare)
    return names.replace("-", "−")


def _raise(script: str) -> str:
    return "⊤" if script == "T" else _inner(script)


def _operators(made: list[Piece]) -> Iterator[Piece]:
    """Minus signs and products between what is mathematics."""
    for place, piece in enumerate(made):
        if piece.kind != "text":
            yield piece
            continue
        body = piece.body
        after = place + 1 < len(made) and made[place + 1].kind == "math"
        before = place > 0 and made[place - 1].kind == "math"
        ends = after or bool(re.search(r"[\s(]-(?:log|SNR)\b", body))
        if ends or before:
            body = re.sub(r"(?<=[\w)\]|]) - (?=[\d(|])", " − ", body)
        if before or after:
            body = body.replace("||", "‖")
        if before:
            body = re.sub(r"^([)|\]]*) - ", r"\1 − ", body)
            body = re.sub(r"^([)|\]]*) \* ", r"\1 · ", body)
        if after:
            body = re.sub(r"(^|[\w)\]|]) \* $", r"\1 · ", body)
            body = re.sub(r"(^|[\s(=])-$", r"\1−", body)
            body = re.sub(r"([\d)\]|]) - (\(?)$", r"\1 − \2", body)
        body = re.sub(r"(?<=[\s(=])-(?=(?:log|SNR)\b)", "−", body)
        yield piece._replace(body=body)


def spoken(value: str) -> str:
    """The same as plain text, for where there can be no elements: descriptions of pictures, of pages."""
    return "".join(piece.body + (f"_{piece.sub}" if piece.sub else "") + _raised(piece.sup) for piece in pieces(value))


def _raised(sup: str) -> str:
    raised = sup.translate(_RAISED)
    return raised if all(sign not in sup or raised[n] != sign for n, sign in enumerate(sup)) else f"^{sup}"


def unset(value: str) -> list[str]:
    """What looks like mathematics in a sentence and is not set."""
    made = pieces(value)
    left = "".join(piece.body if piece.kind == "text" else "\0" for piece in made)
    names = [piece.body for piece in made if piece.kind == "kept" and _NAME.fullmatch(piece.body)]
    return [*names, *(found[0].replace("\0", "…") for found in _LOOKS.finditer(left))]
