"""What one line of a reading list says: a title and its link, by whom, where and when, and what else it links to."""

from __future__ import annotations

import re
from typing import NamedTuple

from kb_tools.exchange.references import names, numbered, reference
from kb_tools.exchange.venue import CONFERENCES, JOURNALS

URL = re.compile(r"https?://[^\s<>\"]+")
LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\]\\])+)\]\(\s*<?([^\s)>]+)>?\s*\)")
# Words of a link that say what lies there, and not what it is called.
_LABEL = re.compile(
    r"(?i)[\W_]*(?:(?:the\s+|full\s+|official\s+|project\s+)?(?:papers?|pdf|arxiv|abs|abstract|html|code|codes|github|git|repo|"
    r"repository|project|page|home\s?page|web\s?site|website|web|link|links|video|slides?|poster|blog|demo|data|datasets?|"
    r"here|openreview|doi|bib|bibtex|colab|supp|supplement|source|url|pytorch|tensorflow|jax|models?|weights|stars?|"
    r"hugging\s?face|preprint|authors?|title|venue|published|v?\d[\d.v]*)[\W_]*)+"
)
_ESCAPE = re.compile(r"\\([\\`*_\[\]<>&|~#().!-])")
_WIKI = re.compile(r"\[\[[^\[\]()]*\]\](?!\()")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\ufe0f]|(?<!\\w):[a-z0-9_+-]{2,40}:")
_ARXIV = re.compile(
    r"(?i)(?<![\w/.-])arxiv(?:\s+preprint)?[\s:]+(?:arxiv:)?((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?)\b"
)
_DOI = re.compile(r"(?i)(?<![\w/.])doi:\s*(10\.\d{4,9}/[^\s,;\]]+)")
_HELD = re.compile("\ue000(\\d+)\ue001")  # a link, held out of the text by its number
_WHEN = r"(?:19|20)\d\d(?:[-/.](?:0?[1-9]|1[0-2]))?(?:[-/.][0-3]?\d)?"
_YEAR = re.compile(r"(?<![\d.])((?:19|20)\d\d)(?!\d)")
_PLACES = "|".join(
    sorted(
        [
            *map(re.escape, [*CONFERENCES, *JOURNALS]), "arXiv", "bioRxiv", "medRxiv", "CoRR", "Preprint", "Nature",
            "Science", "IJCV", "ICRA", "IROS", "CHI", "SIGIR", "EACL", "COLING", "TACL", "TIP", "TNNLS", "ACM MM", "MM",
            "BMVC", "ICIP", "MICCAI", "MIDL", "ISBI", "TMI", "ICCP", "ICASSP", "WWW", "LoG", "CIKM", "WSDM",
        ],
        key=len,
        reverse=True,
    )
)  # fmt: skip
_VENUE = re.compile(
    rf"(?i)(?:(?:in\s+)?(?:proc(?:\.|eedings)\s+(?:of\s+)?)?)?(?<!\w)({_PLACES})(?:\s+workshops?)?[\s,'’]*((?:19|20)?\d\d)(?!\d)"
)
_HEAD = re.compile(
    r"(?:\*\*|`)?\\?[\[(【]([^\[\]()【】]{2,40}?)\\?[\])】](?:\*\*|`)?(?!\()\s*[:.–-]*\s*"
    rf"|`([^`]{{2,40}})`\s*[:.–-]*\s*|({_WHEN})(?![\w.])[\s:.–-]*(?=\S)"
)
_EDGE = " -–—:|,.;*_·•\\"


class Said(NamedTuple):
    """title: empty where the line gives none.  linked: it is the words of a link.  rest: what no other field holds."""

    title: str
    links: list[tuple[str, str]]
    linked: bool = False
    authors: str = ""
    people: list[str] | None = None
    others: bool = False
    year: int | None = None
    venue: str = ""
    rest: str = ""


def plain(text: str) -> str:
    """Markdown as text: links by their words, emphasis and escapes gone."""
    text = LINK.sub(r"\1", text)
    text = re.sub(r"(?<!\\)(\*+|``?)(?=\S)(.+?)(?<=\S)(?<!\\)\1", r"\2", text)
    return _ESCAPE.sub(r"\1", text).strip()


def label(words: str) -> str:
    """The name of a link in a record."""
    return re.sub(r"[^a-z0-9]+", "-", _EMOJI.sub("", plain(words)).lower()).strip("-0123456789") or "home"


def is_address(words: str) -> bool:
    """Whether words are an address or a picture."""
    return re.match(r"https?://|!\[|\[\[", plain(words)) is not None


def is_label(words: str) -> bool:
    """Whether words say what lies at an address, or when and where it appeared: `Paper`, `Arxiv 2020`, `ICML'21`."""
    words = _EMOJI.sub("", plain(words)).strip(_EDGE + "[]()")
    return not words or bool(_LABEL.fullmatch(words)) or _is_when(words) or bool(_ARXIV.fullmatch(words))


def is_title(words: str) -> bool:
    """Whether words can be the name of a work: no address, no picture, no more than a label."""
    return bool(re.search(r"\w", words)) and not is_address(words) and not is_label(words)


def _is_when(words: str) -> bool:
    """Whether words are a date or a venue with its year."""
    words = words.strip(_EDGE)
    if re.fullmatch(rf"{_WHEN}|'?\d\d", words) or re.fullmatch(rf"(?i)(?:{_PLACES})", words):
        return True
    venue = _VENUE.search(words)
    left = words[: venue.start()] + words[venue.end() :] if venue else words
    kept = re.findall(r"[^\W\d_]+", left)
    if venue:
        return len(kept) <= 2
    return len(kept) <= 3 and len(words) <= 30 and re.search(r"(?:^|[\s(])(?:19|20)\d\d\)?$", words) is not None


def said(body: str) -> Said:
    """What a line says, wherever its link, its title and its people stand."""
    flat, links = _held(body)
    urls = [(label(words), url) for words, url in links]
    flat = _EMOJI.sub("", flat).strip()
    flat, when = _without_heads(flat[numbered(flat) :], links)
    named = next((number for number, (words, _) in enumerate(links) if is_title(words.strip("*_ "))), None)
    quoted = next((one for one in re.finditer(r'["“]([^"“”]+?)[,.]?["”]', flat) if is_title(one[1])), None)
    if quoted and not _HELD.search(quoted[1]) and len(quoted[1].split()) > 1 and (named is None or quoted.start() > 0):
        return _told(quoted[1], urls, flat[quoted.end() :], when, before=flat[: quoted.start()])
    if named is not None:
        held = f"\ue000{named}\ue001"
        before, _, after = flat.partition(held)
        urls[named] = ("home", links[named][1])
        return _told(links[named][0].strip("*_ "), urls, after, when, before=before, linked=True)
    bold = next(
        (one for one in re.finditer(r"\*\*((?:(?!\*\*).)+)\*\*", flat) if is_title(_HELD.sub("", one[1]))), None
    )
    if bold is not None:
        return _told(_HELD.sub("", bold[1]), urls, flat[: bold.start()] + " " + flat[bold.end() :], when)
    if (found := reference(_HELD.sub(" ", flat))) is not None:
        return Said(
            found.title,
            urls,
            False,
            "",
            found.authors,
            found.others,
            found.year or _year(when),
            *_place(found.rest, when),
        )
    before = re.split("\ue000", flat, maxsplit=1)[0].strip(_EDGE + "([")
    if is_title(before) and not _are_people(before):
        return _cut_off(before, urls, flat[len(before) :], when)
    left = " ".join(_HELD.sub(" ", flat).split()).strip(_EDGE + "[]()")
    if _are_people(left) and (people := names(left.strip("*_ "))):
        return Said("", urls, False, "", people[0], people[1], _year(when), _venue(when), left)
    if (
        links
        and is_title(left)
        and not re.match(r"(?i)\W*(?:paper|code|project|pdf|link|web\s?site|url)s?\W*:", plain(body))
    ):
        return _cut_off(left, urls, "", when)
    return Said("", urls, year=_year(flat), rest=left)


def _are_people(text: str) -> bool:
    """Whether a text is people for certain: two words with capitals may be a title as well."""
    found = names(text.strip("*_ "))
    return found is not None and (len(found[0]) > 1 or found[1] or re.search(r"\b[^\W\d_]\.", text) is not None)


def _held(body: str) -> tuple[str, list[tuple[str, str]]]:
    """The text with every link, address and arXiv id held out of it, and what is held: words and address."""
    body = re.sub(r"\[\[([^\[\]]*)\]\(([^()\s]+)\)\s*\]", r"[\1](\2)", body)
    body = re.sub(r"\[\[([^\[\]]*)\]\]\(([^()\s]+)\)", r"[\1](\2)", body)
    body = _WIKI.sub("", body)
    body = re.sub(r"(?<!\w)__(?=\S)((?:(?!__).)+)(?<=\S)__(?!\w)", r"**\1**", body)
    links: list[tuple[str, str]] = []

    def hold(words: str, url: str) -> str:
        links.append((words, url))
        return f"\ue000{len(links) - 1}\ue001"

    def bare(found: re.Match[str]) -> str:
        url = found.group().rstrip(".,;:)>|*]")
        return hold("", url) + found.group()[len(url) :]

    body = LINK.sub(lambda found: hold(found[1], found[2]), body)
    body = URL.sub(bare, body)
    body = _ARXIV.sub(lambda found: hold("arXiv", f"https://arxiv.org/abs/{found[1]}"), body)
    body = _DOI.sub(lambda found: hold("doi", f"https://doi.org/{found[1].rstrip('.)')}"), body)
    return re.sub("[\\[(<]\\s*(\ue000\\d+\ue001)\\s*[\\])>]", r"\1", body), links


def _without_heads(flat: str, links: list[tuple[str, str]]) -> tuple[str, str]:
    """The text without the venue and date that stand before its title, and those."""
    when = ""
    for _ in range(3):
        found = _HEAD.match(flat)
        inside = next((part for part in found.groups() if part), "") if found else ""
        if found and _is_when(inside):
            when, flat = f"{when} {inside}".strip(), flat[found.end() :].lstrip()
            continue
        held = _HELD.match(flat)
        if (
            held
            and (words := links[int(held[1])][0].strip("*_[]() "))
            and _is_when(words)
            and flat[held.end() :].strip(_EDGE)
        ):
            when, flat = f"{when} {words}".strip(), flat[held.end() :].lstrip(_EDGE)
            continue
        break
    return flat, when


def _told(
    title: str, urls: list[tuple[str, str]], rest: str, when: str, *, before: str = "", linked: bool = False
) -> Said:
    """What stands around a title: people before it or behind it, venue and year."""
    before = " ".join(_HELD.sub(" ", before).split()).strip(" ,:*")
    people = names(before)
    authors = "" if people else before if not linked else ""
    if people is None and before and linked:
        rest, authors = f"{before} {rest}", ""
    rest = " ".join(_HELD.sub(" ", rest).split())
    if people is None and not authors:
        rest, people, authors = _by(rest)
    return Said(
        title.strip(_EDGE) if not linked else title, urls, linked, authors, people[0] if people else None,
        bool(people and people[1]), _year(rest) or _year(when), *_place(rest, when),
    )  # fmt: skip


def _by(rest: str) -> tuple[str, tuple[list[str], bool] | None, str]:
    """The text behind a title without the people that it names, and those, as names or as they are written."""
    text = rest.strip(" ,.;|–—-")
    if found := re.match(r"by\s+(.+)$", text):
        return "", names(found[1]), found[1]
    for italic in re.finditer(r"(?<!\*)\*([^*]+)\*(?!\*)", rest):
        if (people := names(italic[1])) is not None:
            return rest[: italic.start()] + rest[italic.end() :], people, ""
    for end in (len(text), *(found.start() for found in re.finditer(r"[.,(|]\s", text))):
        if (people := names(text[:end])) is not None and len(text[:end].split()) > 2:
            return text[end:], people, ""
    return rest, None, ""


def _cut_off(title: str, urls: list[tuple[str, str]], rest: str, when: str) -> Said:
    """A title behind which its venue may stand without anything between."""
    rest = " ".join(_HELD.sub(" ", rest).split())
    found = list(_VENUE.finditer(title))
    if (
        found
        and not title[found[-1].end() :].strip(_EDGE + ")]")
        and re.search(r"[,(.|–—-]\s*$", title[: found[-1].start()])
    ):
        rest, title = f"{title[found[-1].start() :]} {rest}", title[: found[-1].start()]
    year = re.search(r"\s*\(((?:19|20)\d\d)\)\s*$", title)
    if year:
        rest, title = f"{year[1]} {rest}", title[: year.start()]
    return Said(
        title.strip(_EDGE + "([ "), urls, False, "", None, False, _year(rest) or _year(when), *_place(rest, when)
    )


def _year(text: str) -> int | None:
    if (venue := _VENUE.search(text)) is not None:
        return _full(venue[2])
    found = _YEAR.search(_HELD.sub(" ", text))
    if found:
        return int(found[1])
    short = re.search(r"'(\d\d)(?!\d)", text)
    return _full(short[1]) if short else None


def _full(year: str) -> int:
    return int(year) if len(year) == 4 else (1900 if int(year) > 60 else 2000) + int(year)


def _venue(when: str) -> str:
    found = _VENUE.search(when)
    return f"{found[1]} {_full(found[2])}" if found and not re.match(r"(?i)arxiv|preprint", found[1]) else ""


def _place(rest: str, when: str) -> tuple[str, str]:
    """Venue, and what is left of a text without it."""
    rest = " ".join(_HELD.sub(" ", rest).split())
    found = _VENUE.search(rest)
    venue = _venue(rest) or _venue(when)
    left = rest[: found.start()] + " " + rest[found.end() :] if found else rest
    left = re.sub(r"\[[\s,|]*\]|\([\s,|]*\)|\*\*\s*\*\*|`\s*`", " ", _YEAR.sub(" ", left))
    left = " ".join(left.split()).strip(_EDGE + "()[]&`/")
    return venue, plain(left) if re.search(r"[^\W\d_]{2}", left) and not is_label(left) else ""
