"""What a record is: strict pydantic models, from which the committed JSON Schema is generated.

Field order here is the canonical order of keys in a file.  Upstream fields (what arXiv or a publisher says) and
curated fields (a person's words) are disjoint, so that a refresh can never destroy somebody's work.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from kb_tools.records.fields import PAPER_KINDS, RESOURCE_KINDS, STATUSES
from kb_tools.records.reference import arxiv_id, impossible

__all__ = [
    "CURATED_FIELDS",
    "PAPER_KINDS",
    "RESOURCE_KINDS",
    "STATUSES",
    "UPSTREAM_FIELDS",
    "Algorithm",
    "AsWritten",
    "AuthorsCode",
    "Colours",
    "Equation",
    "Outside",
    "OutsideWork",
    "OutsideWorks",
    "Record",
    "Settings",
    "Source",
    "Symbol",
    "Topic",
]

UPSTREAM_FIELDS = frozenset({"title", "authors", "abstract", "venue", "doi", "arxiv_version", "withdrawn"})
CURATED_FIELDS = frozenset({"summary", "why", "worth_reading", "worth_reading_by", "status", "read_on", "builds_on"})

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


def _possible(ident: str) -> str:
    found = arxiv_id(ident)
    reason = impossible(found[0]) if found else None
    if reason:
        raise PydanticCustomError("impossible_arxiv", "can be no arXiv id: {reason}", {"reason": reason})
    return ident


ArxivId = Annotated[
    str,
    StringConstraints(pattern=r"^(\d{4}\.\d{4,5}|[a-z]+(-[a-z]+)*(\.[A-Z]{2})?/\d{7})$"),
    AfterValidator(_possible),
]
Doi = Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s<>\"]+$", max_length=2000)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
Date = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Number = Annotated[str, StringConstraints(pattern=r"^(section )?[A-Za-z0-9.]+$", max_length=20)]
CitationKey = Annotated[str, StringConstraints(pattern=r"^[^\s,{}\"#%~\\]+$", max_length=200)]
PublicationField = Literal[
    "type",
    "volume",
    "number",
    "pages",
    "publisher",
    "editor",
    "series",
    "edition",
    "chapter",
    "school",
    "institution",
    "organization",
    "address",
    "month",
    "isbn",
    "issn",
    "note",
]
Licence = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=60)]
Step = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^(  )*\S(.*\S)?$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Equation(Strict):
    """One equation that a method's file implements."""

    tex: Text = Field(description="The equation in LaTeX, as the paper writes it")
    says: Line = Field(description="What it says, in words")


class Algorithm(Strict):
    """One algorithm of the paper that a function of the method's file implements."""

    says: Line = Field(description="What it does, in words")
    steps: list[Step] = Field(
        min_length=1,
        description="Its steps in our own words, one line each, LaTeX between dollar signs; two spaces per inner level",
    )


class Symbol(Strict):
    """A letter of the paper, and its name in the code where they differ or could mislead."""

    paper: Line = Field(description="The paper's letter, in LaTeX")
    code: Line = Field(description="The code's name for it, or a short expression of names")
    says: Line = Field(description="What it is, in words")


class AuthorsCode(Strict):
    """What was seen of the authors' repository, whose address is `links.code`."""

    licence: Licence | None = Field(default=None, description="SPDX identifier of its licence, where it was seen")
    looked: Date = Field(description="Day on which it was last looked at")
    note: Line | None = Field(default=None, description="What it holds, where that is less than the paper")


class AsWritten(Strict):
    """What a seed list wrote where it differs from the truth; null means that it wrote nothing there."""

    title: Line | None = None
    authors: Line | None = None
    year: int | None = None
    link: Line | None = None
    note: Line | None = None


class Source(Strict):
    """A seed list that names this item."""

    seed: Annotated[str, StringConstraints(pattern=r"^\d{3}$")] = Field(description="Number of the seed list")
    section: Line = Field(description="Heading under which the list names it")
    line: int = Field(ge=1, description="Line of the list's file")
    as_written: AsWritten | None = None


class Record(Strict):
    """One paper, survey, tutorial, or resource of the collection."""

    id: Slug = Field(description="The slug: equals the file's name, and is permanent")
    kind: Literal["paper", "survey", "tutorial", "blog", "video", "course", "textbook", "code", "webpage"]
    title: Line
    authors: list[Line] = Field(default_factory=list)
    year: int | None = Field(default=None, ge=1600, le=2100, description="Year of the first public version")
    venue: Line | None = None
    publication: dict[PublicationField, Line] = Field(
        default_factory=dict, description="What a citation says besides the venue, by BibTeX's names"
    )
    key: CitationKey | None = Field(default=None, description="Key under which texts cite it: permanent, and its own")
    arxiv: ArxivId | None = Field(default=None, description="arXiv id without version, always quoted")
    arxiv_version: int | None = Field(default=None, ge=1)
    doi: Doi | None = None
    links: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")], Url] = Field(
        default_factory=dict, description="Other addresses by name; arXiv and DOI links are derived"
    )
    authors_code: AuthorsCode | None = Field(default=None, description="What was seen of the repository at links.code")
    aliases: list[Line] = Field(default_factory=list, description="Names and abbreviations people use")
    former_ids: list[Slug] = Field(default_factory=list, description="Slugs this record once had")
    topics: list[Slug] = Field(default_factory=list, description="Ids of papers/topics.yaml, most fitting first")
    worth_reading: int | None = Field(default=None, ge=1, le=3, description="1 skim, 2 read, 3 read and implement")
    worth_reading_by: Line | None = Field(default=None, description="Whose score it is: `seed 002` or `editors`")
    why: Line | None = Field(default=None, description="One line: the reason to read it")
    status: Literal["unread", "reading", "read", "skipped"] = "unread"
    read_on: Date | None = None
    summary: Text | None = Field(default=None, description="Our own words, one sentence per line")
    abstract: Text | None = Field(default=None, description="Upstream text, only ever written by a refresh")
    builds_on: list[Slug] = Field(default_factory=list, description="Read these first: acyclic, curated, few")
    about: list[Slug] = Field(default_factory=list, description="Papers that this explains, teaches or implements")
    cites: list[Slug] = Field(default_factory=list, description="Works of this collection in its reference list")
    cites_source: Line | None = Field(default=None, description="Where the list of citations was read")
    implementation: ModuleName | None = Field(default=None, description="Module of implementations/")
    equations: dict[Number, Equation] = Field(
        default_factory=dict,
        description="Equations that the method's file implements, by number or, where there is none, as `section 4.2`",
    )
    equations_from: Line | None = Field(default=None, description="The version whose equation numbers these are")
    algorithms: dict[Number, Algorithm] = Field(
        default_factory=dict, description="Algorithms that functions of the method's file implement, by number"
    )
    symbols: list[Symbol] = Field(default_factory=list, description="The paper's letters by their names in the code")
    sources: list[Source] = Field(default_factory=list)
    corrections: list[Text] = Field(default_factory=list, description="What a seed got wrong, and why we know")
    notes: list[Text] = Field(default_factory=list, description="Cautions that are nobody's error")
    unverified: list[Line] = Field(default_factory=list, description="Fields no second source has confirmed")
    withdrawn: bool = False
    added: Date | None = Field(default=None, description="Day on which the record came to the collection")
    changed: Date | None = Field(default=None, description="Day on which it last said something new, marks aside")


class Outside(Strict):
    """A work that belongs under a topic and is in no seed list."""

    title: Line
    arxiv: ArxivId | None = None


class Topic(Strict):
    """A heading under which records stand.

    `filled_by` and `missing` are for headings that a seed list left empty: what fills them here, what is still absent.
    """

    title: Line
    summary: Text
    sources: list[Source] = Field(default_factory=list)
    filled_by: list[Slug] = Field(default_factory=list)
    missing: list[Outside] = Field(default_factory=list)
    corrections: list[Text] = Field(default_factory=list)


class OutsideWork(Outside):
    """A work that records cite and that is none itself."""

    doi: Doi | None = None
    cited_by: list[Slug] = Field(min_length=1, description="Ids of the records whose reference lists name it")


class OutsideWorks(Strict):
    """papers/outside.yaml: what the collection cites beyond itself."""

    works: list[OutsideWork] = Field(default_factory=list)


class Colours(Strict):
    """The colour of links and buttons, where pages are light and where they are dark."""

    light: Colour | None = None
    dark: Colour | None = None


class Settings(Strict):
    """kb.yaml: the site of a collection of one's own."""

    title: Annotated[Line, StringConstraints(max_length=100)] = Field(description="Name of the collection")
    description: Line | None = Field(default=None, description="One sentence, under the title and in feeds")
    site_url: Url | None = Field(default=None, description="Where the site will stand")
    repository: Url | None = Field(default=None, description="Where the records can be seen")
    colours: Colours = Field(default_factory=Colours)
