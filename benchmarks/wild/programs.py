"""Kinds of RIS and CSL-JSON files, as programs and publishers write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from benchmarks.wild.truth import Inventor, Person, Sheet, Truth, Wild

_RIS_TYPES = ("JOUR", "CONF", "CPAPER", "UNPB", "GEN", "CHAP", "RPRT", "THES", "ELEC", "PREPRINT", "EJOUR")
_RIS_PLACES = (
    ("UR", "https://arxiv.org/abs/{}"),
    ("UR", "http://arxiv.org/pdf/{}v2.pdf"),
    ("AN", "arXiv:{}"),
    ("DO", "10.48550/arXiv.{}"),
    ("JO", "arXiv preprint arXiv:{}"),
    ("T2", "arXiv:{} [cs.LG]"),
    ("N1", "arXiv:{}"),
    ("M1", "arXiv:{}"),
    ("M3", "arXiv preprint arXiv:{}"),
    ("C7", "arXiv:{}"),
    ("L1", "https://arxiv.org/pdf/{}.pdf"),
    ("L2", "https://arxiv.org/abs/{}"),
    ("LK", "https://arxiv.org/abs/{}"),
    ("PB", "arXiv:{}"),
    ("VL", "abs/{}"),
    ("ID", "arXiv:{}"),
    ("SP", "arXiv:{}"),
    ("JF", "arXiv e-prints arXiv:{}"),
    ("IS", "arXiv:{}"),
    ("L4", "http://arxiv.org/abs/{}"),
)


def _tags(truth: Truth, dialect: int, extra: list[tuple[str, str]], inventor: Inventor) -> list[tuple[str, str]]:
    title, author, year, abstract = ("T1", "A1", "Y1", "N2") if dialect == 1 else ("TI", "AU", "PY", "AB")
    date = inventor.one_of(f"{truth.year}", f"{truth.year}/06/19/", f"{truth.year}///", f"{truth.year}/03//Spring")
    return [
        (title, truth.title),
        *(
            (author, one.turned if not one.suffix else f"{one.family}, {one.given}, {one.suffix}")
            for one in truth.people
        ),
        (year, date),
        (abstract, "We show this: 5% of it, and that."),
        ("KW", "rivers"),
        ("KW", "tides"),
        *extra,
    ]


def ris(dialect: int, newline: str = "\n", mark: bytes = b"") -> Callable[[Inventor, int], Wild]:
    """A publisher's, an older database's, or one whose lines run on."""

    def kind(inventor: Inventor, count: int) -> Wild:
        sheet = Sheet()
        if dialect == 2:
            sheet.put("Exported by a database\n")
        for number in range(count):
            truth = inventor.work(accents=0.2, particles=0.2)
            if number % 7 == 3:
                first = truth.people[0]
                truth.people[0] = Person(first.given, first.family, "", "Jr.")
                truth.authors = [one.whole for one in truth.people]
            tag, form = _RIS_PLACES[number % len(_RIS_PLACES)]
            extra = [(tag, form.format(truth.arxiv))]
            if tag not in ("T2", "JO", "JF"):
                extra.append(("T2", "A Journal"))
            kind_ = inventor.rng.choice(_RIS_TYPES)
            lines = [f"TY  - {kind_}"]
            for name, value in _tags(truth, dialect, extra, inventor):
                if dialect == 2 and name == "AB":
                    lines += [f"{name}  - {value}", "   and it runs on", "over more lines."]
                else:
                    lines.append(f"{name}  - {value}")
            lines.append(inventor.one_of("ER  - ", "ER  -", "ER  -  "))
            sheet.put("\n".join(lines), truth)
            if dialect != 1:
                sheet.put("\n" * (1 + dialect % 2))
        return sheet.wild("refs.ris", lambda text: mark + text.replace("\n", newline).encode())

    return kind


def ris_broken(inventor: Inventor, count: int) -> Wild:
    """References without an end, a type or a title, between whole ones."""
    sheet = Sheet()
    for number in range(count):
        truth = inventor.work(with_arxiv=False)
        lines = ["TY  - JOUR", *(f"{name}  - {value}" for name, value in _tags(truth, 0, [], inventor)), "ER  - ", ""]
        if number % 3 == 1:
            truth.damaged = True
            style = number // 3 % 4
            if style == 0:
                del lines[-2]
            elif style == 1:
                del lines[0]
            elif style == 2:
                lines[1] = "ZZ  - something that no program knows"
            else:
                lines[2] = "AU Roe, Ann"
        sheet.put("\n".join(lines), truth)
    return sheet.wild("refs.ris")


def _name(one: Person) -> dict[str, str]:
    parts = {"given": one.given, "family": one.family, "non-dropping-particle": one.particle, "suffix": one.suffix}
    return {name: value for name, value in parts.items() if value}


_CSL_PLACES: tuple[dict[str, str], ...] = (
    {"number": "arXiv:{}", "publisher": "arXiv"},
    {"archive": "arXiv", "archive_location": "{}"},
    {"archive": "arxiv.org", "archive_location": "arXiv:{}"},
    {"URL": "http://arxiv.org/abs/{}"},
    {"URL": "https://arxiv.org/pdf/{}v3.pdf"},
    {"DOI": "10.48550/arXiv.{}"},
    {"DOI": "https://doi.org/10.48550/ARXIV.{}"},
    {"note": "arXiv:{} [cs, stat]"},
    {"note": "arXiv: {}"},
    {"container-title": "arXiv:{} [cs]"},
    {"container-title": "arXiv preprint arXiv:{}"},
    {"container-title": "CoRR", "volume": "abs/{}"},
    {"publisher": "arXiv", "number": "{}"},
    {"eprint": "{}"},
    {"arxiv": "{}"},
    {"genre": "preprint", "number": "arXiv:{}", "source": "arXiv.org"},
    {"container-title-short": "arXiv", "page": "arXiv:{}"},
    {"call-number": "arXiv:{}"},
    {"archive": "arXiv", "number": "{}"},
    {"note": "Citation Key: a\narXiv: {}\ntex.archiveprefix: arXiv"},
)


def csl(inventor: Inventor, count: int) -> Wild:
    """Items of reference managers and of a registry of DOIs."""
    items: list[dict[str, Any]] = []
    truths: list[Truth] = []
    for number in range(count):
        truth = inventor.work(accents=0.2, particles=0.2)
        truth.first = truth.last = number + 1
        truths.append(truth)
        year = truth.year
        dates: tuple[dict[str, Any], ...] = (
            {"date-parts": [[year]]},
            {"date-parts": [[str(year), "6", 19]]},
            {"raw": f"{year}-06-19"},
            {"literal": f"June {year}"},
            {"date-parts": [[year, 6], [year, 7]]},
        )
        item: dict[str, Any] = {
            "id": f"http://example.org/users/1/items/A{number}" if number % 3 else number,
            "type": inventor.one_of(
                "article", "article-journal", "paper-conference", "chapter", "report", "manuscript"
            ),
            "title": truth.title,
            "author": [_name(one) for one in truth.people],
            "issued": dates[number % len(dates)],
            "abstract": "We show <i>this</i>: 5% &amp; more.",
        }
        if number % 6 == 1:
            item["title"] = truth.title.replace(" ", " <i>", 1).replace(" ", "</i> ", 2).replace("</i> <i>", " <i>", 1)
            item["title"] = f'<span class="nocase">{truth.title}</span>'
        elif number % 6 == 2:
            item["title"], truth.title = f"CO<sub>2</sub> {truth.title}", f"CO2 {truth.title}"
        elif number % 6 == 3:
            item["author"].append({"literal": "The Example Team"})
            truth.authors = [*truth.authors, "The Example Team"]
        elif number % 6 == 4:
            item["author"] = [
                {"family": f"{one.particle} {one.family}".strip(), "given": one.given} for one in truth.people
            ]
        elif number % 6 == 5:
            item["title"], truth.title = f"R&amp;D of {truth.title}", f"R&D of {truth.title}"
        place = _CSL_PLACES[number % len(_CSL_PLACES)]
        items.append(item | {name: value.format(truth.arxiv) for name, value in place.items()})
    return Wild("library.json", json.dumps(items, indent="\t", ensure_ascii=False).encode(), truths)


def registry(inventor: Inventor, count: int) -> Wild:
    """Works as a registry of DOIs answers them: titles in lists, dates of several kinds, names of bodies."""
    items: list[dict[str, Any]] = []
    truths: list[Truth] = []
    for number in range(count):
        truth = inventor.work(with_arxiv=number % 2 == 0)
        truth.first = truth.last = number + 1
        truths.append(truth)
        item: dict[str, Any] = {
            "DOI": f"10.48550/arxiv.{truth.arxiv}" if truth.arxiv else f"10.1000/abc.{number}",
            "type": inventor.one_of("journal-article", "proceedings-article", "posted-content"),
            "title": [truth.title] if number % 4 < 2 else truth.title,
            "author": [_name(one) | {"sequence": "first", "affiliation": []} for one in truth.people],
            "published-print": {"date-parts": [[(truth.year or 0) + 1]]},
            "issued": {"date-parts": [[truth.year, 6]]},
            "container-title": ["A Journal"] if number % 4 < 2 else "A Journal",
            "abstract": "<jats:p>We show this.</jats:p>",
        }
        if number % 5 == 3:
            item["author"].append({"name": "The Example Team", "sequence": "additional"})
            truth.authors = [*truth.authors, "The Example Team"]
        items.append(item)
    body = json.dumps({"items": items} if count % 2 else items, separators=(",", ":"))
    return Wild("works.csl.json", body.encode(), truths)


KINDS: dict[str, tuple[Callable[[Inventor, int], Wild], int]] = {
    "RIS: a publisher's": (ris(0, "\r\n"), 60),
    "RIS: an older database's": (ris(1), 60),
    "RIS: lines that run on": (ris(2, "\n", b"\xef\xbb\xbf"), 60),
    "RIS: broken references": (ris_broken, 48),
    "CSL-JSON: reference managers": (csl, 120),
    "CSL-JSON: a registry": (registry, 40),
}
