"""Names, order and plain shapes of a record's fields, for what must not pay for pydantic.

`kb_tools.records.model` is the truth; a test holds this table and the model together.
"""

from __future__ import annotations

PAPER_KINDS = ("paper", "survey", "tutorial")
RESOURCE_KINDS = ("blog", "video", "course", "textbook", "code", "webpage")
KINDS = PAPER_KINDS + RESOURCE_KINDS
STATUSES = ("unread", "reading", "read", "skipped")

# A list stands for "list of strings", a dict for "mapping"; the order is the canonical order of keys in a file.
RECORD_FIELDS: dict[str, type] = {
    "id": str,
    "kind": str,
    "title": str,
    "authors": list,
    "year": int,
    "venue": str,
    "publication": dict,
    "key": str,
    "arxiv": str,
    "arxiv_version": int,
    "doi": str,
    "links": dict,
    "authors_code": dict,
    "aliases": list,
    "former_ids": list,
    "topics": list,
    "worth_reading": int,
    "worth_reading_by": str,
    "why": str,
    "status": str,
    "read_on": str,
    "summary": str,
    "abstract": str,
    "builds_on": list,
    "about": list,
    "cites": list,
    "cites_source": str,
    "implementation": str,
    "equations": dict,
    "equations_from": str,
    "algorithms": dict,
    "symbols": list,
    "sources": list,
    "corrections": list,
    "notes": list,
    "unverified": list,
    "withdrawn": bool,
    "added": str,
    "changed": str,
}
# What a bibliography says of a publication besides its venue, by BibTeX's names; `type` is the type of the entry.
PUBLICATION_FIELDS = (
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
)
TOPIC_FIELDS = ("title", "summary", "sources", "filled_by", "missing", "corrections")

# Order of keys inside nested mappings, by the name of the field that holds them.
NESTED_FIELDS: dict[str, tuple[str, ...]] = {
    "equations": ("tex", "says"),
    "algorithms": ("says", "steps"),
    "symbols": ("paper", "code", "says"),
    "authors_code": ("licence", "looked", "note"),
    "sources": ("seed", "section", "line", "as_written"),
    "as_written": ("title", "authors", "year", "link", "note"),
    "missing": ("title", "arxiv"),
    "works": ("title", "arxiv", "doi", "cited_by"),
}

# Fields whose values are slugs or words of a closed vocabulary: written without quotes where YAML allows it.
BARE_FIELDS = frozenset(
    {
        "id",
        "kind",
        "former_ids",
        "topics",
        "status",
        "builds_on",
        "about",
        "cites",
        "implementation",
        "filled_by",
        "cited_by",
    }
)
# Fields that are running text: written as literal blocks.
TEXT_FIELDS = frozenset({"summary", "abstract"})
# Lists of texts that may hold mappings instead of strings.
MAPPING_LISTS = frozenset({"sources", "symbols", "missing"})

PAPER_SCHEMA = "schema.json"
TOPICS_SCHEMA = "topics-schema.json"
OUTSIDE_SCHEMA = "outside-schema.json"
TOPICS_FILE = "topics.yaml"
OUTSIDE_FILE = "outside.yaml"
NOTES = "notes"  # folder of papers/ with a Markdown file for each record that somebody wrote about
SETTINGS_FILE = "kb.yaml"
