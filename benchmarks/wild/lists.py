"""Kinds of reading lists in Markdown and of plain lists of references."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from benchmarks.wild.truth import Inventor, Person, Sheet, Truth, Wild

_VENUES = ("NeurIPS", "ICLR", "ICML", "CVPR", "AAAI", "ECCV", "ACL")
_ADDRESSES = (
    "https://arxiv.org/abs/{}",
    "https://arxiv.org/pdf/{}.pdf",
    "http://arxiv.org/abs/{}v2",
    "https://arxiv.org/pdf/{}v1",
    "https://www.arxiv.org/abs/{}",
    "https://arxiv.org/html/{}v3",
    "https://ar5iv.labs.arxiv.org/html/{}",
    "https://doi.org/10.48550/arXiv.{}",
    "https://huggingface.co/papers/{}",
    "https://www.alphaxiv.org/abs/{}",
    "https://browse.arxiv.org/abs/{}",
    "https://arxiv.org/pdf/{}.pdf#page=2",
    "https://arxiv.org/abs/{}?context=cs.LG",
)
Maker = Callable[[Inventor, Truth, str, int], str]


def _address(inventor: Inventor, truth: Truth) -> str:
    return inventor.rng.choice(_ADDRESSES).format(truth.arxiv)


def _joined(people: list[Person]) -> str:
    return ", ".join(one.whole for one in people)


def _last_and(names: list[str], word: str = "and") -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]


def _unsaid(truth: Truth) -> None:
    """The entry says nothing of the people."""
    truth.authors = []


def _venue(inventor: Inventor, truth: Truth) -> str:
    return f"{inventor.rng.choice(_VENUES)} {truth.year}"


# Each writes one entry, and takes from the truth what it does not say.
def _link(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    return f"[{truth.title}]({url})"


def _link_bold(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    return inventor.one_of(f"**[{truth.title}]({url})**", f"[**{truth.title}**]({url})", f"__[{truth.title}]({url})__")


def _link_by(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    return f"[{truth.title}]({url}) by {_last_and([one.whole for one in truth.people])}"


def _bold_side(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    word = inventor.one_of("paper", "Paper", "PDF", "arXiv", "Arxiv", "abs", "link", ":page_facing_up: Paper")
    form = inventor.one_of(f"[[{word}]({url})]", f"[[{word}]]({url})", f"[{word}]({url})", f"([{word}]({url}))")
    code = inventor.one_of(
        "", f" [[Code](https://github.com/example/c{number})]", f" [[code]](https://github.com/e/c{number})"
    )
    return f"**{truth.title}** {form}{code}"


def _bare_side(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    word = inventor.one_of("paper", "Paper", "pdf", "arXiv", "Arxiv 2020", "ArXiv'21", "Full paper")
    code = inventor.one_of(
        "", f" [[Code](https://github.com/example/d{number})]", f" | [Project](https://d{number}.github.io)"
    )
    return f"{truth.title} {inventor.one_of(f'[[{word}]({url})]', f'[[{word}]]({url})', f'([{word}]({url}))')}{code}"


def _venue_first(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    venue = _venue(inventor, truth)
    return inventor.one_of(
        f"({venue}) {truth.title} [[Paper]({url})]",
        f"[{venue}] {truth.title} [[Paper]({url})]",
        f"**({venue})** [{truth.title}]({url})",
        f"\\[{venue}\\] [{truth.title}]({url})",
        f"[{venue}] [{truth.title}]({url})",
        f"`{venue}` [{truth.title}]({url})",
        f"[{truth.year}/06] **[{truth.title}]({url})**",
        f"({truth.year}) {truth.title} [[paper]({url})]",
        f"**[{venue}]** {truth.title} [[Paper]({url})]",
        f"{truth.year}.06 [{truth.title}]({url})",
    )


def _venue_last(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    venue = _venue(inventor, truth)
    return inventor.one_of(
        f"[{truth.title}]({url}), {venue}",
        f"[{truth.title}]({url}) ({venue})",
        f"[{truth.title}]({url}) | {venue} | [Code](https://github.com/example/e{number})",
        f"**{truth.title}**, {venue}. [[Paper]({url})]",
        f"**{truth.title}** (*{venue}*) [paper]({url})",
        f"\U0001f525 **{truth.title}** | {venue} | [arXiv]({url})",
        f"[{truth.title}]({url}) `{venue}` ![stars](https://img.shields.io/github/stars/example/e{number})",
    )


def _quoted(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    first = truth.people[0]
    truth.authors, truth.others = [first.family], True
    quotes = inventor.one_of('""', "\u201c\u201d")
    return f"{first.family} et al. {quotes[0]}{truth.title}.{quotes[1]} {_venue(inventor, truth)}. " + inventor.one_of(
        f"[[arXiv]({url})]", f"[arXiv:{truth.arxiv}]({url})", f"[[pdf]]({url})", url
    )


def _names_first(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    names = inventor.one_of(_joined(truth.people), _last_and(truth.authors), _last_and(truth.authors, "&"))
    return f'{names}. "{truth.title}". {_venue(inventor, truth)}. [[paper]({url})]'


def _bare_address(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    return inventor.one_of(
        f"{truth.title}: {url}", f"{truth.title} - {url}", f"{truth.title} <{url}>", f"{truth.title} ({url})"
    )


def _no_address(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    return inventor.one_of(
        f"{truth.title} (arXiv:{truth.arxiv})",
        f"{truth.title}, arXiv:{truth.arxiv}",
        f"**{truth.title}**, arXiv:{truth.arxiv}",
        f"{truth.title} [arXiv:{truth.arxiv}]",
    )


def _badge(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    badge = f"[![arXiv](https://img.shields.io/badge/arXiv-{truth.arxiv}-b31b1b.svg)]({url})"
    stars = f"![GitHub Repo stars](https://img.shields.io/github/stars/example/f{number}?style=social)"
    code = f"[![Star](https://img.shields.io/github/stars/example/f{number}.svg)](https://github.com/example/f{number})"
    return inventor.one_of(
        f"**{truth.title}** {badge} {stars}", f"{badge} {truth.title}", f"[{truth.title}]({url}) {stars}",
        f"{truth.title} {badge} {code}", f'[{truth.title}]({url}) <img src="https://example.org/new.gif" alt="new">',
    )  # fmt: skip


def _page(inventor: Inventor, truth: Truth, url: str, number: int) -> str:
    _unsaid(truth)
    return inventor.one_of(
        f'<b>{truth.title}</b> <a href="{url}">[pdf]</a>',
        f'<a href="{url}">{truth.title}</a>',
        f"<a href='{url}' target=_blank><b>{truth.title}</b></a>",
        f'<em>{truth.title}</em>, {_venue(inventor, truth)} [<a href="{url}">Paper</a>]',
    )


_ENTRIES: tuple[Maker, ...] = (
    _link, _link_bold, _link_by, _bold_side, _bare_side, _venue_first, _venue_last, _quoted, _names_first,
    _bare_address, _no_address, _badge, _page,
)  # fmt: skip
_NOISE = (
    "[![Awesome](https://awesome.re/badge.svg)](https://awesome.re)",
    "![Overview](https://example.org/overview.png)",
    "Contributions are [welcome](CONTRIBUTING.md); open an issue or send a pull request.",
    "- [Back to the top](#top)",
    "- [Contributing](CONTRIBUTING.md)",
    "* [Surveys](#surveys)\n  * [Samplers](#samplers)",
    "```bash\ngit clone https://github.com/example/list\n```",
    "---",
    "<!-- - [A Hidden Work](https://arxiv.org/abs/2001.00001) -->",
    '<p align="center"><img src="logo.png" width="300"></p>',
    "If this helps you, cite us. Maintained since 2021 by volunteers.",
)


def items(*makers: Maker) -> Callable[[Inventor, int], Wild]:
    """Entries behind bullets, numbers and boxes, some nested or quoted, among things that are no works."""

    def kind(inventor: Inventor, count: int) -> Wild:
        sheet = Sheet()
        sheet.put("# A list of works\n")
        block = 0
        while len(sheet.truths) < count:
            rng = inventor.rng
            sheet.put(
                f"\n{rng.choice(_NOISE)}\n\n## {inventor.one_of('Samplers', 'Theory', 'Images', 'Sound')} {block}\n"
            )
            bullet = rng.choice(["- ", "* ", "+ ", "1. ", "1) ", "- [ ] ", "> - ", "- [x] ", "  - "])
            for number in range(rng.randint(4, 8)):
                truth = inventor.work(least=2, most=4)
                maker = makers[len(sheet.truths) % len(makers)]
                text = maker(inventor, truth, _address(inventor, truth), len(sheet.truths))
                head = f"{number + 1}{bullet[1:]}" if bullet[0] == "1" else bullet
                sheet.put(f"{head}{text}", truth)
                if rng.random() < 0.15:
                    sheet.put("")
            block += 1
        return sheet.wild("README.md")

    return kind


def tables(inventor: Inventor, count: int) -> Wild:
    """Titles with links, links in a column of their own, pages' own tables."""
    sheet = Sheet()
    style = 0
    while len(sheet.truths) < count:
        sheet.put(f"\n## Table {style}\n")
        rows = []
        for _ in range(5):
            truth = inventor.work(least=2, most=3)
            url = _address(inventor, truth)
            venue, names, way = _venue(inventor, truth), _joined(truth.people), style % 7
            if way == 0:
                cells = [f"[**{truth.title}**]({url})", venue, "[code](https://github.com/example/x)"]
            elif way == 1:
                cells = [str(truth.year), truth.title, f"[Paper]({url})", "-"]
            elif way == 2:
                cells = [truth.title, names, venue, f"[[pdf]]({url})"]
            elif way == 3:
                cells = [f'<a href="{url}">{truth.title}</a>', venue]
            elif way == 4:
                cells = ["ALPHA", f"[{truth.title}]({url})<br>*{names}*", venue]
            elif way == 5:
                cells = [
                    venue,
                    f"**{truth.title}** [![Star](https://img.shields.io/a.svg)](https://github.com/e/x)",
                    f"[link]({url})",
                ]
            else:
                cells = [truth.title, f"[{truth.arxiv}]({url})"]
            if way not in (2, 4):
                _unsaid(truth)
            rows.append((truth, cells))
        heads = (
            ["Paper", "Venue", "Code"], ["Year", "Title", "Link", "Code"], ["Title", "Authors", "Venue", "Paper"],
            ["Title", "Publication"], ["Abbr.", "Title & Authors", "Venue"], ["Date", "Title", "Paper"],
            ["Name", "arXiv"],
        )[style % 7]  # fmt: skip
        sheet.put(f"| {' | '.join(heads)} |\n|{'|'.join([':---:'] * len(heads))}|")
        for truth, cells in rows:
            sheet.put(f"| {' | '.join(cells)} |" if style % 2 else f"{' | '.join(cells)}", truth)
        style += 1
    return sheet.wild("README.md")


def paragraphs(inventor: Inventor, count: int) -> Wild:
    """Works that are paragraphs, headings or folded parts of a page."""
    sheet = Sheet()
    sheet.put("# Works\n\nSome prose about [a site](https://example.org/site) that is no work.\n")
    while len(sheet.truths) < count:
        truth = inventor.work(least=2, most=3)
        number = len(sheet.truths)
        url, names, venue, style = (
            _address(inventor, truth),
            _joined(truth.people),
            _venue(inventor, truth),
            number % 12,
        )
        if style == 0:
            text = f"**{truth.title}** \\\n*{names}* \\\n{venue}. [[Paper]({url})] [[Github](https://github.com/e/r)]"
        elif style == 1:
            text = f"**{truth.title}**  \n*{names}*  \n[[Paper]({url})]"
        elif style == 2:
            text = f"[{truth.title}]({url})"
            _unsaid(truth)
        elif style == 3:
            half = truth.title.split(" ")
            text = f"[{' '.join(half[:3])}\n{' '.join(half[3:])}]({url})"
            _unsaid(truth)
        elif style == 4:
            text = f"### [{truth.title}]({url})\n\n*{names}*\n\nIt shows this and that."
        elif style == 5:
            text = f"### {truth.title}\n\n- Paper: {url}\n- Code: https://github.com/example/g{number}"
            _unsaid(truth)
        elif style == 6:
            text = f"#### {truth.title}\n*{names}*\n\n[[paper]({url})] [[code](https://github.com/example/h{number})]"
        elif style == 7:
            text = f"- **{truth.title}**\n  - Authors: {names}\n  - Paper: [{url}]({url})\n  - Code: https://github.com/e/i{number}"
        elif style == 8:
            text = f"- **{truth.title}**\n\n  *{names}*\n\n  [[Paper]({url})]"
        elif style == 9:
            text = f"<details>\n<summary>{truth.title}</summary>\n\n{names}. [[Paper]({url})]\n\n</details>"
        elif style == 10:
            text = f'<p><b>{truth.title}</b><br>\n{names}<br>\n<a href="{url}">[paper]</a></p>'
        else:
            text = f"**{truth.title}**, {venue}. [[paper]({url})]"
            _unsaid(truth)
        sheet.put(f"{text}\n\n", truth)
    return sheet.wild("papers.markdown")


def references_by_label(inventor: Inventor, count: int) -> Wild:
    """Links whose addresses stand at the end of the file."""
    sheet = Sheet()
    labels = []
    for number in range(count):
        truth = inventor.work()
        _unsaid(truth)
        url, style = _address(inventor, truth), number % 4
        if style == 0:
            text, label = f"- [{truth.title}][{number}]", str(number)
        elif style == 1:
            text, label = f"- [{truth.title}][]", truth.title
        elif style == 2:
            text, label = f"- [{truth.title}]", truth.title
        else:
            text, label = f"- **{truth.title}** [[paper][p{number}]]", f"P{number}"
        labels.append(f"[{label}]: {inventor.one_of(url, f'<{url}>')}")
        sheet.put(text, truth)
    sheet.put("\n" + "\n".join(labels))
    return sheet.wild("README.md")


def page_items(inventor: Inventor, count: int) -> Wild:
    """Lists and tables of web pages inside Markdown."""
    sheet = Sheet()
    sheet.put("# Works\n\n<ul>")
    for number in range(count):
        truth = inventor.work()
        _unsaid(truth)
        url, style = _address(inventor, truth), number % 4
        if style == 0:
            text = f'<li><a href="{url}">{truth.title}</a></li>'
        elif style == 1:
            text = f'  <li>\n    <a href="{url}">{truth.title}</a>\n  </li>'
        elif style == 2:
            text = f'<li><b>{truth.title}</b> [<a class="x" href="{url}" target="_blank">Paper</a>]</li>'
        else:
            text = f"<li>{truth.title}, <a href='{url}'>arXiv</a></li>"
        sheet.put(text, truth)
    sheet.put("</ul>")
    return sheet.wild("README.md")


def plain_references(wrapped: bool) -> Callable[[Inventor, int], Wild]:
    """References as styles print them, pasted from a paper; `wrapped`: over several lines, empty ones between."""

    def kind(inventor: Inventor, count: int) -> Wild:
        sheet, last = Sheet(), 0
        for number in range(count):
            truth = inventor.work(least=1, most=4)
            people, year, venue, style = truth.people, truth.year, inventor.rng.choice(_VENUES), number * 12 // count
            if style != last:
                sheet.put("")
                last = style
            first_last = [f"{one.initials} {one.family}" for one in people]
            last_first = [f"{one.family}, {one.initials}" for one in people]
            where = inventor.one_of(
                f"arXiv:{truth.arxiv}", f"arXiv preprint arXiv:{truth.arxiv}", f"https://arxiv.org/abs/{truth.arxiv}"
            )
            if style == 0:
                text = f'[{number}] {_last_and(first_last)}, "{truth.title}," in Proc. {venue}, {year}, {where}.'
                truth.authors = first_last
            elif style == 1:
                joined = ", & ".join([", ".join(last_first[:-1]), last_first[-1]]) if len(people) > 1 else last_first[0]
                text = f"{joined} ({year}). {truth.title}. {where}."
                truth.authors = first_last
            elif style == 2:
                text = f"{number}. {_last_and(truth.authors)}. {truth.title}. {where}, {year}."
            elif style == 3:
                text = f"{_last_and(truth.authors)}. {year}. {truth.title}. {where}."
            elif style == 4:
                text = f"[{number}] {', '.join(truth.authors)}. {truth.title}. In {venue}, {year}. {where}"
            elif style == 5:
                names = ", ".join(f"{one.family} {one.initials.replace('.', '').replace('-', '')}" for one in people)
                truth.authors = [f"{one.initials.replace('.', '').replace('-', '')} {one.family}" for one in people]
                text = f"{number}. {names}. {truth.title}. {where}. {year}."
            elif style == 6:
                text = f"{_last_and(truth.authors)}, \u201c{truth.title},\u201d {where} ({year})."
            elif style == 7:
                first, *rest = people
                names = first.turned if not rest else f"{first.turned}, {_last_and([one.whole for one in rest])}"
                names = names if len(rest) != 1 else f"{first.turned}, and {rest[0].whole}"
                text = f'{names}. "{truth.title}." {venue} ({year}). {where}.'
            elif style == 8:
                text = f"- {_last_and(first_last)} ({year}). *{truth.title}*. {where}"
                truth.authors = first_last
            elif style == 9:
                truth.authors, truth.others = [first_last[0]], True
                text = f'[{number}] {first_last[0]} et al., "{truth.title}," {where}, {year}.'
            elif style == 10:
                text = (
                    f"[{people[0].family}{str(year)[2:]}] {_last_and(truth.authors)}. {truth.title}. {where}, {year}."
                )
            else:
                text = f"{'; '.join(last_first)} {truth.title}. {where} {year}."
                truth.authors = first_last
            if wrapped:
                text = textwrap.fill(text, 72, subsequent_indent=inventor.one_of("", "    "), break_on_hyphens=False,
                                     break_long_words=False)  # fmt: skip
            sheet.put(text, truth)
            if wrapped and (style not in (0, 4, 9, 10) or number % 2):
                sheet.put("")
        return sheet.wild("references.txt")

    return kind


KINDS: dict[str, tuple[Callable[[Inventor, int], Wild], int]] = {
    "list: links": (items(_link, _link_bold, _link_by), 75),
    "list: titles with links beside them": (items(_bold_side, _bare_side), 100),
    "list: venues before and behind": (items(_venue_first, _venue_last), 130),
    "list: quoted titles": (items(_quoted, _names_first), 60),
    "list: bare addresses and ids": (items(_bare_address, _no_address), 60),
    "list: badges and pages' own words": (items(_badge, _page), 80),
    "list: all together": (items(*_ENTRIES), 104),
    "list: tables": (tables, 105),
    "list: paragraphs and headings": (paragraphs, 120),
    "list: addresses at the end": (references_by_label, 40),
    "list: web pages' lists": (page_items, 40),
    "references, one a line": (plain_references(False), 84),
    "references over several lines": (plain_references(True), 84),
}
