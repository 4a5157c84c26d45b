"""Kinds of BibTeX files: macros, parents, broken entries, names, letters, and the many places of an arXiv id."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable, Iterable

from benchmarks.wild.truth import Inventor, Person, Sheet, Truth, Wild, in_tex, year_of

Fields = dict[str, str]
_TYPES = ("article", "inproceedings", "misc", "techreport", "incollection", "phdthesis", "unpublished")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def written(kind: str, key: str, fields: Fields) -> str:
    """An entry as most programs write it."""
    return f"@{kind}{{{key},\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items()) + "\n}\n"


def _key(truth: Truth, number: int) -> str:
    return f"{truth.people[0].family if truth.people else 'anon'}{truth.year or ''}x{number}".replace("'", "").lower()


def _and(people: Iterable[Person]) -> str:
    return " and ".join(one.turned for one in people)


def _basic(truth: Truth, **more: str) -> Fields:
    fields = {"title": truth.title, "author": _and(truth.people), "year": str(truth.year)}
    return fields | {name.rstrip("_"): value for name, value in more.items()}


def _id(truth: Truth) -> str:
    assert truth.arxiv is not None
    return truth.arxiv


def _each(inventor: Inventor, count: int, make: Callable[[int], tuple[str, Truth]], name: str = "refs.bib") -> Wild:
    """A file of `count` entries."""
    sheet = Sheet()
    for number in range(count):
        text, truth = make(number)
        sheet.put(text, truth)
        if inventor.rng.random() < 0.7:
            sheet.put("\n")
    return sheet.wild(name)


def layouts(inventor: Inventor, count: int) -> Wild:
    """Braces, quotation marks, numbers, round brackets, capitals, spaces, a comma at the end or in front."""

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        rng, key = inventor.rng, _key(truth, number)
        kind = rng.choice(_TYPES)
        kind = rng.choice([kind, kind.upper(), kind.capitalize()])
        fields = _basic(truth)
        style = number % 6
        if style == 0:
            text = written(kind, key, fields)
        elif style == 1:
            lines = [f'  {name.upper()}="{value}"' for name, value in fields.items()]
            text = f"@{kind} {{ {key} ,\n" + ",\n".join(lines) + ",\n}"
        elif style == 2:
            fields["year"] = "{" + fields["year"] + "}"
            text = f"@{kind}({key}, " + ", ".join(f"{name} = {{{value}}}" for name, value in fields.items()) + ")"
        elif style == 3:
            text = f"@{kind}{{{key}"
            text += "".join(f"\n  , {name:<12} = {{{value}}}" for name, value in fields.items()) + "\n  }"
        elif style == 4:
            year = fields.pop("year")
            text = f"@{kind}{{{key},year={year}," + ",".join(f"{name}={{{{{v}}}}}" for name, v in fields.items()) + "}"
            text = text.replace(f"author={{{{{fields['author']}}}}}", f"author={{{fields['author']}}}")
        else:
            text = f"\t@{kind}{{\n{key},\n" + "".join(f"\t{name}\t=\t{{{v}}},\n\n" for name, v in fields.items()) + "}"
        return text, truth

    return _each(inventor, count, make)


def macros(inventor: Inventor, count: int) -> Wild:
    """Strings for people, places and titles, joined by `#`; months."""
    sheet = Sheet()
    sheet.put('@string{proc = "Proceedings of the Workshop on Rivers"}\n@STRING(jrn = {Journal of Tides})')
    sheet.put("@string{last = proc # { and its } # jrn}\n")
    for number in range(count):
        truth = inventor.work(with_arxiv=False, least=2, most=3)
        first, *rest = (one.turned for one in truth.people)
        sheet.put(f'@string{{who{number} = "{first}"}}\n@string{{what{number} = {{{truth.title}}}}}')
        month = inventor.rng.choice(_MONTHS)
        month = inventor.one_of(month, f'"12~" # {month}', f'{month} # "~12"', month.upper())
        author = f"who{number}" + "".join(f' # " and {one}"' for one in rest)
        title = inventor.one_of(f"what{number}", f"{{}} # what{number}", f"what{number} # {{}}")
        journal = inventor.one_of("jrn", "proc # { 33}", "LAST")
        sheet.put(
            f"@article{{m{number}, author = {author},\n  title = {title},\n"
            f"  journal = {journal}, month = {month}, year = {truth.year} }}\n",
            truth,
        )
    return sheet.wild("refs.bib")


def parents(inventor: Inventor, count: int) -> Wild:
    """crossref before and behind, xdata, chains of both; the year is the parent's."""
    sheet = Sheet()
    for number in range(count // 4):
        truths = [inventor.work(with_arxiv=False) for _ in range(3)]
        year = inventor.rng.randint(1990, 2024)
        parent = Truth(f"Proceedings of the {inventor.title()}", inventor.people(1, 2), year)
        for truth in truths:
            truth.year = year
        child = written("InProceedings", f"c{number}a", {"crossref": f"P{number}"} | _basic(truths[0]))
        sheet.put(child.replace(f",\n  year = {{{year}}}", ""), truths[0])
        sheet.put(
            written(
                "proceedings",
                f"p{number}",
                {"title": parent.title, "editor": _and(parent.people), "xdata": f"x{number},common{number}"},
            ),
            parent,
        )
        sheet.put(written("xdata", f"x{number}", {"year": str(year), "publisher": "A House"}))
        sheet.put(written("xdata", f"common{number}", {"series": "A Series", "xdata": f"x{number}"}))
        child = written("incollection", f"c{number}b", _basic(truths[1]) | {"crossref": f"p{number} ", "year": ""})
        sheet.put(child, truths[1])
        fields = {"title": truths[2].title, "author": _and(truths[2].people), "xdata": f"x{number}"}
        sheet.put(written("article", f"c{number}c", fields), truths[2])
    return sheet.wild("refs.bib")


def biblatex(inventor: Inventor, count: int) -> Wild:
    """Dates, subtitles, other names of fields and types, names in their parts."""

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(particles=0.2)
        people, style = truth.people, number % 5
        fields = _basic(truth) | {"eprint": _id(truth), "eprinttype": inventor.one_of("arxiv", "arXiv", "ArXiv")}
        del fields["year"]
        fields["date"] = inventor.one_of(
            f"{truth.year}", f"{truth.year}-03", f"{truth.year}-03-14", f"{truth.year}-03/"
        )
        kind = inventor.one_of("online", "report", "thesis", "article", "inproceedings", "unpublished")
        if style == 0:
            title, _, subtitle = truth.title.partition(": ")
            if subtitle:
                fields |= {"title": title, "subtitle": subtitle}
        elif style == 1:
            parts = []
            for one in people:
                named = {"family": one.family, "given": one.given}
                if one.particle:
                    named |= {"prefix": one.particle, "useprefix": "true"}
                parts.append(
                    ", ".join(f"{name}={inventor.one_of(value, f'{{{value}}}')}" for name, value in named.items())
                )
            fields["author"] = " and ".join(parts)
        elif style == 2:
            fields |= {"journaltitle": "A Journal", "eprintclass": "cs.LG", "author+an": "1=highlight"}
        elif style == 3:
            fields |= {
                "eventtitle": "A Meeting",
                "venue": "A Town",
                "titleaddon": "Extended version",
                "langid": "english",
            }
        else:
            fields |= {
                "urldate": "2024-05-06",
                "url": f"https://arxiv.org/abs/{truth.arxiv}",
                "pubstate": "prepublished",
            }
        return written(kind, f"b{number}", fields), truth

    return _each(inventor, count, make)


def broken(inventor: Inventor, count: int) -> Wild:
    """Commas, braces, quotation marks and keys that are missing or too many, between entries that are whole."""

    def damage(text: str, style: int) -> str:
        lines = text.splitlines()
        if style == 0:
            lines[1] = lines[1].rstrip(",")
        elif style == 1:
            lines[2] = lines[2].rstrip(",")
        elif style == 2:
            lines[1] = lines[1].replace("},", "}},")
        elif style == 3:
            lines[2] = lines[2].replace("},", ",")
        elif style == 4:
            lines[1] = lines[1].replace("},", "},,")
        elif style == 5:
            lines[0] = "@article{"
        elif style == 6:
            del lines[-1]
        elif style == 7:
            lines[1] = lines[1].replace("= {", "{", 1)
        elif style == 8:
            lines[2] = lines[2].replace("{", '"').replace("},", ",")
        elif style == 9:
            lines[0] = lines[0].rstrip(",")
        elif style == 10:
            lines[1] = lines[1].replace("{", "", 1)
        elif style == 11:
            lines[1] = lines[1].replace("= {", "= {{", 1)
        elif style == 12:
            lines[3] = lines[3].replace("year = {", "year = ").replace("}", "")
            lines[2] = lines[2].replace("},", "};")
        else:
            lines[-1] = "} }"
        return "\n".join(lines) + "\n"

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        text = written("article", f"d{number}", _basic(truth))
        if number % 3 == 1:
            truth.damaged = True
            text = damage(text, number // 3 % 14)
        return text, truth

    return _each(inventor, count, make)


def comments(inventor: Inventor, count: int) -> Wild:
    """Remarks between, before and inside entries, preambles, groups of reference managers."""
    around = (
        "% a line of TeX's own comments, with a brace {",
        "@comment{jabref-meta: databaseType:bibtex;}",
        "@Comment{jabref-meta: grouping:\n0 AllEntriesGroup:;\n1 StaticGroup:Reading\\;2\\;0\\;\\;\\;\\;;\n}",
        '@preamble{ "\\newcommand{\\noopsort}[1]{} " }',
        "This bibliography is by me (me@example.org), last changed in May.",
        "%%%%%%%%%% section two %%%%%%%%%%",
        "@comment this one has no braces",
        "% @article{old, title={Not Any More}, author={Roe, Ann}, year={1999}}",
        "/* a comment of another language */",
        'Ren\u00e9 wrote: "see @ anywhere"',
    )

    sheet = Sheet()
    for number in range(count):
        truth = inventor.work()
        sheet.put(around[number % len(around)])
        fields = _basic(truth) | {
            "eprint": _id(truth),
            "archiveprefix": "arXiv",
            "owner": "me",
            "timestamp": "2020.01.02",
        }
        text = written("article", f"e{number}", fields)
        if number % 4 == 1:
            text = text.replace("},\n  year", "}, % the order matters\n  year")
        elif number % 4 == 2:
            text = text.replace(",\n  title", ",\n%  note = {hidden},\n  title")
        sheet.put(text, truth)
    return sheet.wild("refs.bib")


def encodings(encoding: str, newline: str = "\n", mark: bytes = b"") -> Callable[[Inventor, int], Wild]:
    """Files that are not plain UTF-8, or whose lines end otherwise."""

    def kind(inventor: Inventor, count: int) -> Wild:
        sheet = Sheet()
        while len(sheet.truths) < count:
            truth = inventor.work(accents=0.6)
            try:
                truth.title = (
                    truth.title.replace(" for ", " f\u00fcr ")
                    .replace(" of ", " \u00e0 ")
                    .replace(" with ", " con\u00e7u ")
                )
                "".join(truth.authors).encode(encoding)
            except UnicodeEncodeError:
                continue
            fields = _basic(truth) | {"eprint": _id(truth), "archiveprefix": "arXiv"}
            sheet.put(written("article", f"f{len(sheet.truths)}", fields), truth)
        return sheet.wild("refs.bib", lambda text: mark + text.replace("\n", newline).encode(encoding))

    return kind


def bare_signs(inventor: Inventor, count: int) -> Wild:
    """`%`, `&`, `_`, `#`, `$`, `<`, `~` and quotation marks as people type them."""
    forms = (
        ("Saving 50% of {}", "Saving 50% of {}"),
        (r"Saving 50\% of {}", "Saving 50% of {}"),
        ("R&D of {}", "R&D of {}"),
        (r"Search \& Rescue by {}", "Search & Rescue by {}"),
        ("Item #1 of {}", "Item #1 of {}"),
        (r"Item \#2 of {}", "Item #2 of {}"),
        ("The file_name of {}", "The file_name of {}"),
        (r"The file\_name of {}", "The file_name of {}"),
        ("For $5 you get {}", "For $5 you get {}"),
        (r"For \$5 you get {}", "For $5 you get {}"),
        ("When p < 0.05 and n > 3: {}", "When p < 0.05 and n > 3: {}"),
        ("What is~{}?", "What is {}?"),
        ("``Quoted'' {}", "\u201cQuoted\u201d {}"),
        ("Pages 1--9 of {}", "Pages 1\u20139 of {}"),
        ("Either/Or: {} (Extended)", "Either/Or: {} (Extended)"),
        ("{} @ Scale", "{} @ Scale"),
        ("C++ and C# for {}", "C++ and C# for {}"),
        ("100% & More: {}", "100% & More: {}"),
        (r"A\_B\&C\%D: {}", "A_B&C%D: {}"),
        ("A ^ B of {}", "A ^ B of {}"),
        ("On the URL https://example.org/~a_b of {}", "On the URL https://example.org/~a_b of {}"),
    )

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        source, meant = forms[number % len(forms)]
        fields = _basic(truth) | {"title": source.format(truth.title)}
        fields["abstract"] = "We reach 95% where others reach 90\\%, R&D too; a_b costs $5, and #1 is {best}."
        truth.title = meant.format(truth.title)
        return written("article", f"g{number}", fields), truth

    return _each(inventor, count, make)


def markup(inventor: Inventor, count: int) -> Wild:
    """Braces for capitals, emphasis, formulas, small commands, titles over several lines."""
    forms = (
        ("{{{}}}", "{}"),
        (r"\emph{{A}} {}", "A {}"),
        (r"{{\em A}} {}", "A {}"),
        (r"\textit{{A}} \textbf{{B}} {}", "A B {}"),
        (r"On $\alpha$-Stable {}", r"On $\alpha$-Stable {}"),
        (r"Time $O(n \log n)$ for {}", r"Time $O(n \log n)$ for {}"),
        (r"$\mathcal{{N}}(0, \sigma^2)$ {}", r"$\mathcal{{N}}(0, \sigma^2)$ {}"),
        ("A\n    {}", "A {}"),
        (r"\LaTeX{{}} and {}", "LaTeX and {}"),
        (r"{{\TeX}} and {}", "TeX and {}"),
        (r"A\ {}", "A {}"),
        (r"\textsc{{Small}}: {}", "Small: {}"),
        (r"\texttt{{code}}: {}", "code: {}"),
        ("{{U}}-{{N}}et {}", "U-Net {}"),
        (r"A \dots{{}} {}", "A \u2026 {}"),
        (r"H$_2$O in {}", "H$_2$O in {}"),
        (r"CO\textsubscript{{2}} in {}", "CO2 in {}"),
        (r"A{{\textendash}}B {}", "A\u2013B {}"),
        (r"A \textquotedblleft B\textquotedblright\ {}", "A \u201cB\u201d {}"),
        (r"\unheard{{a}} {}", r"\unheard{{a}} {}"),
        (r"{{\noopsort{{1}}}}{}", "{}"),
        (r"\mbox{{A}} {}", "A {}"),
        ("The {{GAN}} {{Zoo}} {}", "The GAN Zoo {}"),
    )  # fmt: skip

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        source, meant = forms[number % len(forms)]
        fields = _basic(truth) | {"title": source.format(truth.title)}
        truth.title = meant.format(truth.title)
        return written("article", f"h{number}", fields), truth

    return _each(inventor, count, make)


def letters(inventor: Inventor, count: int) -> Wild:
    """Accents as commands of TeX, as entities, as letters and marks apart; spaces and marks that nobody sees."""

    def entities(text: str) -> str:
        names = {"\u00e9": "&eacute;", "\u00fc": "&uuml;", "\u00f1": "&ntilde;", "\u00ed": "&#237;", "\u00e1": "&#xE1;"}
        return "".join(names.get(letter, letter) for letter in text)

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(accents=0.8)
        name = inventor.one_of("Schr\u00f6dinger", "It\u00f4", "L\u00e9vy", "H\u00f6lder", "Erd\u0151s", "C\u00e8a")
        truth.title = f"{name} {truth.title}"
        fields, style = _basic(truth), number % 5
        if style < 2:
            fields["title"] = in_tex(fields["title"], inventor.rng)
            fields["author"] = in_tex(fields["author"], inventor.rng)
        elif style == 2:
            fields = {name: entities(value) for name, value in fields.items()}
        elif style == 3:
            fields = {name: unicodedata.normalize("NFD", value) for name, value in fields.items()}
        else:
            fields["title"] = fields["title"].replace(" ", "\u00a0", 1).replace(" ", "\u200b ", 1).replace(" ", "\t", 1)
            fields["author"] = fields["author"].replace(", ", ",\u00a0", 1).replace("e", "e\u00ad", 1)
        fields |= {"eprint": _id(truth), "archiveprefix": "arXiv"}
        return written("article", f"i{number}", fields), truth

    return _each(inventor, count, make)


def names(inventor: Inventor, count: int) -> Wild:
    """Authors joined and written in every way that is met."""

    def bare(people: list[Person]) -> str:
        return " and ".join(one.whole for one in people)

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False, least=2, most=3)
        people, style = truth.people, number % 40
        a, b = people[0], people[1]
        field, meant = _and(people), truth.authors
        if style == 1:
            field = bare(people)
        elif style == 2:
            field = " & ".join(one.turned for one in people)
        elif style == 3:
            field = "; ".join(one.turned for one in people)
        elif style == 4:
            field, meant = f"{a.whole}, {b.whole}, Cy Rowan", [a.whole, b.whole, "Cy Rowan"]
        elif style == 5:
            field, meant = f"{a.whole}, {b.whole} and Cy Rowan", [a.whole, b.whole, "Cy Rowan"]
        elif style == 6:
            field, meant = f"{a.whole}, {b.whole}, and Cy Rowan", [a.whole, b.whole, "Cy Rowan"]
        elif style == 7:
            field, truth.others = f"{_and(people)} and others", True
        elif style == 8:
            field, truth.others = f"{_and(people)} et al.", True
        elif style == 9:
            field, meant, truth.others = f"{a.turned}, et~al.", [a.whole], True
        elif style == 10:
            field = f"{_and(people)} and "
        elif style == 11:
            field = _and(people).replace(" and ", "\n        and\n        ")
        elif style == 12:
            field = _and(people).replace(" and ", " AND ")
        elif style == 13:
            field, meant = "{The Example Collaboration}", ["The Example Collaboration"]
        elif style == 14:
            field, meant = f"{a.turned} and {{Rivers and Tides Consortium}}", [a.whole, "Rivers and Tides Consortium"]
        elif style == 15:
            field, meant = f"van den {a.family}, {a.given}", [f"{a.given} van den {a.family}"]
        elif style == 16:
            field, meant = f"{a.given} de la {a.family}", [f"{a.given} de la {a.family}"]
        elif style == 17:
            field, meant = f"{{van der {a.family}}}, {a.given}", [f"{a.given} van der {a.family}"]
        elif style == 18:
            field, meant = f"{a.given} {{von {a.family}}}", [f"{a.given} von {a.family}"]
        elif style == 19:
            field, meant = f"{a.family}, Jr., {a.given}", [f"{a.given} {a.family} Jr."]
        elif style == 20:
            field, meant = f"{a.family} III, {a.given}", [f"{a.given} {a.family} III"]
        elif style == 21:
            field, meant = f"{a.family}, A. B. and {b.family}, C.", [f"A. B. {a.family}", f"C. {b.family}"]
        elif style == 22:
            field, meant = f"A. {a.family} and B.-C. {b.family}", [f"A. {a.family}", f"B.-C. {b.family}"]
        elif style == 23:
            field, meant = f"{a.family}, A., {b.family}, B. C.", [f"A. {a.family}", f"B. C. {b.family}"]
        elif style == 24:
            field, meant = (
                f"{a.family}, A., {b.family}, B., and Rowan, C.",
                [f"A. {a.family}", f"B. {b.family}", "C. Rowan"],
            )
        elif style == 25:
            field, meant = f"A. {a.family}, B. {b.family}", [f"A. {a.family}", f"B. {b.family}"]
            truth.unsure = True
        elif style == 26:
            field = rf"\textbf{{{a.turned}}} and {_and(people[1:])}"
        elif style == 27:
            field = f"{a.whole}* and {' and '.join(f'{one.whole}$^2$' for one in people[1:])}"
        elif style == 28:
            field = rf"{a.whole}\textsuperscript{{1}} and {' and '.join(one.whole for one in people[1:])}"
        elif style == 29:
            field, meant = "\u674e\u660e and \u738b, \u4f1f", ["\u674e\u660e", "\u4f1f \u738b"]
            truth.unsure = True
        elif style == 30:
            field = ", and ".join(one.whole for one in people) if len(people) > 2 else bare(people)
        elif style == 31:
            field = " and ".join(f"{{{one.whole}}}" for one in people)
        elif style == 32:
            field, meant = "OpenAI", ["OpenAI"]
        elif style == 33:
            field, meant = f"{a.whole} (ed.)", [a.whole]
            truth.unsure = True
        elif style == 34:
            field = f"{_and(people)},"
        elif style == 35:
            field = f"{_and(people)}."
        elif style == 36:
            field, meant = f"{a.whole} \\and {b.whole}", [a.whole, b.whole]
        elif style == 37:
            field, meant = f"{a.whole} with {b.whole}", [a.whole, b.whole]
            truth.unsure = True
        elif style == 38:
            field, meant = f"{a.family} A, {b.family} BC, Rowan D", [f"A {a.family}", f"BC {b.family}", "D Rowan"]
            truth.unsure = True
        elif style == 39:
            field, meant, truth.others = f"{a.whole} and {b.whole} and {{others}}", [a.whole, b.whole], True
        truth.authors = list(meant)
        return written("article", f"j{number}", _basic(truth) | {"author": field}), truth

    return _each(inventor, count, make)


def keys(inventor: Inventor, count: int) -> Wild:
    """Keys with slashes, colons, accents, twice the same, or beginning with a digit."""
    forms = (
        "DBLP:journals/corr/abs-2006-{:05}", "10.1145/3{:05}", "roe:{}", "Ro\u00e9{}", "{}", "a.b_c-d+e{}", "O'Hara{}",
        "same", "https://example.org/{}", "key*{}", "[{}]",
    )  # fmt: skip

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        return written("article", forms[number % len(forms)].format(number), _basic(truth)), truth

    return _each(inventor, count, make)


# Where an arXiv id stands, and in what form.  {new} is an id, {under} has no point, {year} its year.
PLACES: tuple[Fields, ...] = (
    {"eprint": "{new}", "archiveprefix": "arXiv"},
    {"eprint": "{new}", "archivePrefix": "arXiv", "primaryClass": "cs.LG"},
    {"eprint": "{new}", "eprinttype": "arxiv"},
    {"eprint": "{new}", "eprinttype": "arXiv", "eprintclass": "stat.ML"},
    {"eprint": "{new}"},
    {"eprint": "{new}v3", "archiveprefix": "arXiv"},
    {"eprint": "arXiv:{new}", "archiveprefix": "arXiv"},
    {"eprint": "arxiv:{new}v1 [cs.CV]"},
    {"eprint": "{new} [cs.LG]", "archiveprefix": "arXiv"},
    {"eprint": "{new} [cs.LG, stat.ML]", "archiveprefix": "arXiv"},
    {"eprint": "https://arxiv.org/abs/{new}"},
    {"eprint": "https://arxiv.org/pdf/{new}v2.pdf"},
    {"eprint": "{new}", "archiveprefix": "arXiv.org"},
    {"eprint": "{new}", "archive": "arXiv"},
    {"arxiv": "{new}"},
    {"arxiv": "https://arxiv.org/abs/{new}"},
    {"arxivid": "{new}"},
    {"arXivId": "arXiv:{new}"},
    {"arxiv_id": "{new}"},
    {"arxiv-id": "{new}"},
    {"url": "https://arxiv.org/abs/{new}"},
    {"url": "http://arxiv.org/abs/{new}v1"},
    {"url": "http://www.arxiv.org/pdf/{new}.pdf"},
    {"url": "arxiv.org/abs/{new}"},
    {"url": "\\url{{https://arxiv.org/abs/{new}}}"},
    {"url": "https://arxiv.org/pdf/{new}.pdf?download=1"},
    {"url": "https://export.arxiv.org/abs/{new}"},
    {"url": "https://de.arxiv.org/abs/{new}"},
    {"url": "http://xxx.lanl.gov/abs/{new}"},
    {"url": "https://ar5iv.labs.arxiv.org/html/{new}"},
    {"url": "https://ar5iv.org/abs/{new}"},
    {"url": "https://www.alphaxiv.org/abs/{new}"},
    {"url": "https://huggingface.co/papers/{new}"},
    {"url": "https://paperswithcode.com/paper/arxiv:{new}"},
    {"url": "https://www.semanticscholar.org/arxiv/{new}"},
    {"url": "https://api.semanticscholar.org/arXiv:{new}"},
    {"url": "https://scholar.archive.org/search?q=arXiv:{new}"},
    {"url": "https://ui.adsabs.harvard.edu/abs/arXiv:{new}"},
    {"url": "https://ui.adsabs.harvard.edu/abs/{year}arXiv{under}R"},
    {"adsurl": "https://ui.adsabs.harvard.edu/abs/{year}arXiv{under}R", "adsnote": "Provided by a service"},
    {"bdsk-url-1": "https://arxiv.org/abs/{new}"},
    {"link": "https://arxiv.org/abs/{new}"},
    {"pdf": "https://arxiv.org/pdf/{new}"},
    {"html": "https://arxiv.org/html/{new}v2"},
    {"ee": "http://arxiv.org/abs/{new}", "journal": "CoRR"},
    {"journal": "CoRR", "volume": "abs/{new}"},
    {"journal": "CoRR", "biburl": "https://dblp.org/rec/journals/corr/abs-{dashed}.bib"},
    {"journal": "arXiv preprint arXiv:{new}"},
    {"journal": "arXiv preprint arXiv:{new}, {year}"},
    {"journal": "ArXiv", "volume": "abs/{new}"},
    {"journal": "arXiv e-prints", "pages": "arXiv:{new}"},
    {"journal": "arXiv e-prints", "eid": "arXiv:{new}"},
    {"journal": "arXiv:{new} [cs, stat]"},
    {"journal": "arXiv", "number": "{new}"},
    {"journal": "arXiv", "number": "arXiv:{new}"},
    {"journal": "arXiv", "volume": "{new}"},
    {"journal": "arXiv preprint", "note": "{new}"},
    {"journal": "preprint", "note": "arXiv:{new}"},
    {"journal": "{{arXiv}} preprint {{arXiv}}:{new}"},
    {"journal": "arXiv: {new}"},
    {"journal": "ArXiv e-prints {new}"},
    {"journal": "\\href{{https://arxiv.org/abs/{new}}}{{arXiv:{new}}}"},
    {"booktitle": "arXiv preprint arXiv:{new}"},
    {"publisher": "arXiv", "doi": "10.48550/arXiv.{new}"},
    {"publisher": "arXiv", "doi": "10.48550/ARXIV.{new}"},
    {"doi": "https://doi.org/10.48550/arXiv.{new}"},
    {"doi": "arXiv:{new}"},
    {"publisher": "arXiv", "number": "arXiv:{new}"},
    {"institution": "arXiv", "number": "arXiv:{new}"},
    {"type": "arXiv preprint", "number": "{new}", "institution": "arXiv"},
    {"howpublished": "arXiv preprint arXiv:{new}"},
    {"howpublished": "\\url{{https://arxiv.org/abs/{new}}}"},
    {"howpublished": "arXiv:{new} [cs.LG]"},
    {"howpublished": "Preprint at https://arxiv.org/abs/{new}"},
    {"howpublished": "Available at \\url{{http://arxiv.org/abs/{new}}}"},
    {"note": "arXiv:{new}"},
    {"note": "arXiv preprint arXiv:{new}"},
    {"note": "arXiv:{new} [cs.LG]"},
    {"note": "Available at arXiv:{new}"},
    {"note": "\\url{{https://arxiv.org/abs/{new}}}"},
    {"note": "\\emph{{arXiv:{new}}}"},
    {"note": "\\href{{https://arxiv.org/abs/{new}}}{{[arXiv]}}"},
    {"note": "Preprint, \\texttt{{arXiv:{new}}}"},
    {"note": "Comment: 12 pages, arXiv:{new}"},
    {"annote": "arXiv:{new}"},
    {"addendum": "arXiv:{new}"},
    {"comment": "arXiv:{new}"},
    {"keywords": "arXiv:{new}"},
    {"series": "arXiv:{new}"},
    {"archivePrefix": "arXiv", "arxivId": "{new}"},
    {"file": ":home/me/papers/{new}.pdf:PDF"},
    {"file": "{new}v2.pdf:files/12/{new}v2.pdf:application/pdf"},
    {"file": "Full Text PDF:C\\:\\\\Users\\\\me\\\\arXiv{new}.pdf:application/pdf"},
    {"local-url": "file://localhost/Users/me/Papers/arXiv/{new}.pdf"},
    {"biburl": "https://dblp.org/rec/bib/journals/corr/abs-{dashed}"},
    {"eprint": "arXiv:{new} (cs.LG)"},
    {"identifier": "arXiv:{new}"},
    {"eprint": "{new}", "eprinttype": "ARXIV"},
    {"eid": "arXiv:{new}"},
    {"pages": "arXiv:{new}"},
    {"eprint": "abs/{new}"},
    {"eprint": "{new}.pdf", "archiveprefix": "arXiv"},
    {"url": "https://arxiv.org/a/roe_a_1", "note": "arXiv:{new}v1"},
    {"url": "https://arxiv.org/abs/{new}#section1"},
    {"url": "https://arxiv.org/abs/{new}/"},
    {"url": "https://arxiv.org/ftp/arxiv/papers/{four}/{new}.pdf"},
    {"url": "https://arxiv.org/format/{new}"},
    {"url": "https://arxiv.org/pdf/{new}v1.pdf, https://github.com/example/code"},
    {"url": "https://doi.org/10.48550/arxiv.{new}"},
    {"url": "https://dx.doi.org/10.48550/arXiv.{new}"},
    {"url": "https://www.arxiv-vanity.com/papers/{new}/"},
    {"url": "https://scirate.com/arxiv/{new}"},
    {"url": "https://arxiv.gg/abs/{new}", "eprint": "{new}"},
    {"url": "https://inspirehep.net/api/arxiv/{new}"},
    {"url": "https://www.researchgate.net/publication/1_A_Work", "eprint": "{new}"},
    {"url": "https://browse.arxiv.org/pdf/{new}"},
    {"url": "https://arxiv.org/abs/{new}v1}}, note={{accessed 1 May 2024"},
)  # fmt: skip
OLD_PLACES: tuple[Fields, ...] = (
    {"eprint": "{old}", "archiveprefix": "arXiv"},
    {"eprint": "{number}", "archiveprefix": "arXiv", "primaryclass": "{archive}"},
    {"eprint": "{old}"},
    {"url": "http://arxiv.org/abs/{old}"},
    {"url": "https://arxiv.org/pdf/{old}v2"},
    {"journal": "arXiv preprint {old}"},
    {"journal": "arXiv preprint arXiv:{old}"},
    {"note": "arXiv:{old}"},
    {"journal": "CoRR", "volume": "{old}"},
    {"archiveprefix": "{archive}", "eprint": "{number}"},
    {"SLACcitation": "%%CITATION = {upper};%%", "eprint": "{old}"},
)


def arxiv_places(inventor: Inventor, count: int) -> Wild:
    """Every place in which an arXiv id is met, one after the other."""

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work()
        new = _id(truth)
        place = PLACES[number % len(PLACES)]
        values = {
            "new": new, "under": new.replace(".", "" if len(new) == 10 else "."), "year": str(truth.year),
            "dashed": new.replace(".", "-"), "four": new[:4],
        }  # fmt: skip
        fields = _basic(truth) | {name: value.format(**values) for name, value in place.items()}
        return written(inventor.one_of("article", "misc"), f"k{number}", fields), truth

    return _each(inventor, count, make)


def old_arxiv_places(inventor: Inventor, count: int) -> Wild:
    """Ids of the years up to 2007."""

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work()
        truth.arxiv = inventor.arxiv(old=True)
        truth.year = year_of(truth.arxiv)
        archive, _, digits = truth.arxiv.partition("/")
        values = {"old": truth.arxiv, "number": digits, "archive": archive, "upper": truth.arxiv.upper()}
        fields = {name: value.format(**values) for name, value in OLD_PLACES[number % len(OLD_PLACES)].items()}
        return written("article", f"l{number}", _basic(truth) | fields), truth

    return _each(inventor, count, make)


def no_places(inventor: Inventor, count: int) -> Wild:
    """Numbers that look like an arXiv id and are none, or are another paper's."""
    forms: tuple[Fields, ...] = (
        {"eprint": "2006.00018", "archiveprefix": "HAL"},
        {"pages": "2006.00019"},
        {"doi": "10.1000/2006.00020"},
        {"abstract": "We go on where arXiv:2006.00021 ended, and compare with the results that it had left to others."},
        {"note": "This supersedes an earlier version that others know as arXiv:1906.00022 and cite under that title"},
        {"eprint": "2013.00023", "archiveprefix": "arXiv"},
        {"url": "https://example.org/2006.00024.html"},
        {"number": "2006.1234"},
        {"eprint": "hal-02006003"},
        {"eprint": "1801234", "eprinttype": "pubmed"},
        {"eprint": "10.1234/jstor.2006", "eprinttype": "jstor"},
    )

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(with_arxiv=False)
        return written("article", f"m{number}", _basic(truth) | forms[number % len(forms)]), truth

    return _each(inventor, count, make)


def programs(inventor: Inventor, count: int) -> Wild:
    """Entries in the manner of search engines, databases and reference managers."""

    def make(number: int) -> tuple[str, Truth]:
        truth = inventor.work(least=2, most=4)
        new, people, style = _id(truth), truth.people, number % 9
        a, year = people[0], truth.year
        lines = " and\n               ".join(one.turned for one in people)
        if style == 0:
            fields = _basic(truth, journal=f"arXiv preprint arXiv:{new}")
        elif style == 1:
            fields = {
                "author": " and\n                  ".join(one.whole for one in people), "title": truth.title,
                "journal": "CoRR", "volume": f"abs/{new}", "year": str(year),
                "url": f"https://doi.org/10.48550/arXiv.{new}", "doi": f"10.48550/ARXIV.{new}", "eprinttype": "arXiv",
                "eprint": new, "timestamp": "Mon, 01 Jan 2024 00:00:00 +0100", "bibsource": "a database",
            }  # fmt: skip
        elif style == 2:
            author = " and ".join(f"{{{one.family}}}, {one.given}" for one in people)
            fields = {
                "author": author, "title": f'"{{{truth.title}}}"', "journal": "arXiv e-prints", "keywords": "Physics",
                "year": str(year), "month": "jun", "eid": f"arXiv:{new}", "pages": f"arXiv:{new}", "eprint": new,
                "archivePrefix": "arXiv", "primaryClass": "cs.LG", "adsnote": "Provided by a service",
            }  # fmt: skip
        elif style == 3:
            fields = {
                "title": f"{{{truth.title}}}", "author": lines, "date": f"{year}-06-19", "number": f"arXiv:{new}",
                "eprint": new, "eprinttype": "arxiv", "eprintclass": "cs", "publisher": "arXiv",
                "urldate": "2024-01-02", "file": f"Roe - {year} - A.pdf:/home/me/{a.family}.pdf:application/pdf",
                "abstract": "First.\n\nSecond, at 5\\% \\& more.", "keywords": "Reading,Sampling",
            }  # fmt: skip
        elif style == 4:
            fields = {
                "author": lines, "archivePrefix": "arXiv", "arxivId": new, "eprint": new, "title": f"{{{truth.title}}}",
                "url": f"http://arxiv.org/abs/{new}", "year": str(year), "mendeley-groups": "A,B",
                "file": f":C$\\backslash$:/Users/me/{a.family}.pdf:pdf",
            }  # fmt: skip
        elif style == 5:
            fields = {
                "title": truth.title, "author": " and ".join(one.whole for one in people), "year": str(year),
                "booktitle": "A Conference", "url": "https://openreview.net/forum?id=" + "".join(
                    inventor.rng.choice("abcdefghijkABCDEFGHIJK0123456789") for _ in range(10)),
            }  # fmt: skip
            truth.arxiv = None
        elif style == 6:
            fields = {
                "title": truth.title, "author": " and ".join(one.whole for one in people), "journal": "ArXiv",
                "year": str(year), "volume": f"abs/{new}", "url": "https://api.semanticscholar.org/CorpusID:"
                + str(inventor.rng.randint(10**6, 10**9)),
            }  # fmt: skip
        elif style == 7:
            fields = {
                "author": lines, "title": f"{{{truth.title}}}", "eprint": new, "archivePrefix": "arXiv",
                "primaryClass": "hep-th", "reportNumber": "A-B-123", "month": "6", "year": str(year),
            }  # fmt: skip
        else:
            fields = {
                "doi": f"10.48550/ARXIV.{new}", "url": f"https://arxiv.org/abs/{new}",
                "author": " and ".join(one.turned for one in people), "keywords": "Machine Learning (cs.LG), FOS: X",
                "title": truth.title, "publisher": "arXiv", "year": str(year), "copyright": "A Licence",
            }  # fmt: skip
        return written(inventor.one_of("article", "misc"), f"n{number}", fields), truth

    return _each(inventor, count, make)


def identity(inventor: Inventor, count: int) -> Wild:
    """Different works that share an address, a repository, a book's DOI, or nearly a title."""
    sheet = Sheet()
    for number in range(count // 2):
        style = number % 6
        both = [inventor.work(with_arxiv=style in (0, 1)) for _ in range(2)]
        shared: list[Fields] = [{}, {}]
        if style == 0:
            shared = [{"url": "https://github.com/example/shared"}] * 2
            shared = [one | {"eprint": _id(truth)} for one, truth in zip(shared, both, strict=True)]
        elif style == 1:
            both[1].title = both[0].title
            shared = [{"eprint": _id(truth)} for truth in both]
        elif style == 2:
            shared = [{"doi": f"10.1000/book.{number}"}] * 2
        elif style == 3:
            shared = [{"url": f"https://openreview.net/forum?id={number}{letter}"} for letter in "AB"]
        elif style == 4:
            both[1].title = f"{both[0].title}, Volume 2"
            both[0].title += ", Volume 1"
        else:
            both[0].title, both[1].title = f"{both[0].title} I", f"{both[0].title} II"
            both[1].people, both[1].authors = both[0].people, both[0].authors
        for side, (truth, fields) in enumerate(zip(both, shared, strict=True)):
            sheet.put(written("incollection", f"o{number}{'ab'[side]}", _basic(truth) | fields), truth)
    return sheet.wild("refs.bib")


def twice(inventor: Inventor, count: int) -> Wild:
    """The same work a second time, with another spelling, version or address: one record."""
    sheet = Sheet()
    for number in range(count):
        truth = inventor.work()
        new = _id(truth)
        sheet.put(written("article", f"p{number}", _basic(truth) | {"eprint": new, "archiveprefix": "arXiv"}), truth)
        again = _basic(truth) | {"journal": f"arXiv preprint arXiv:{new}v2"}
        if number % 3 == 1:
            again |= {"title": truth.title.upper()}
        elif number % 3 == 2:
            again |= {"author": " and ".join(one.initials + " " + one.family for one in truth.people)}
        sheet.put(written("misc", f"p{number}again", again))
    return sheet.wild("refs.bib")


UTF16 = codecs.BOM_UTF16_LE
KINDS: dict[str, tuple[Callable[[Inventor, int], Wild], int]] = {
    "layouts of entries": (layouts, 90),
    "macros and months": (macros, 60),
    "crossref and xdata": (parents, 60),
    "biblatex": (biblatex, 90),
    "broken entries": (broken, 126),
    "comments": (comments, 60),
    "Latin-1": (encodings("latin-1"), 25),
    "cp1252": (encodings("cp1252"), 25),
    "UTF-16": (encodings("utf-16-le", "\r\n", UTF16), 25),
    "UTF-8 with a mark": (encodings("utf-8", "\n", codecs.BOM_UTF8), 25),
    "old ends of lines": (encodings("utf-8", "\r"), 25),
    "bare signs": (bare_signs, 84),
    "TeX in titles": (markup, 96),
    "letters": (letters, 150),
    "names": (names, 240),
    "keys": (keys, 44),
    "places of arXiv ids": (arxiv_places, 2 * len(PLACES)),
    "old arXiv ids": (old_arxiv_places, 44),
    "no arXiv ids": (no_places, 44),
    "exports of programs": (programs, 180),
    "shared addresses": (identity, 72),
    "the same twice": (twice, 45),
}
