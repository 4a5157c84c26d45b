"""What listing relies on, checked without pydantic: known kinds, the id of the file, fields of the right plain type."""

from __future__ import annotations

from kb_tools.errors import plain
from kb_tools.records.fields import KINDS, MAPPING_LISTS, PAPER_KINDS, RECORD_FIELDS
from kb_tools.records.reader import Document, Value

_NAMES = {
    str: "text (put it in double quotes)",
    int: "a whole number",
    list: "a list of texts",
    dict: "a mapping",
    bool: "true or false",
}


def check_shapes(document: Document) -> None:
    """Add a problem for every field whose plain type is not the model's, and for what is missing or of no kind."""
    data = document.data
    if data is None:
        return
    for key, value in data.items():
        shape = RECORD_FIELDS.get(key)
        if shape is not None and value is not None and not _fits(key, value, shape):
            document.problem(*document.where((key,)), "type", f"{key}: must be {_NAMES[shape]}")
    for key in ("id", "kind", "title"):
        if data.get(key) is None:
            document.problem(0, 0, "missing-key", f"{key}: is missing", f"add `{key}: ...`")
    if isinstance(data.get("kind"), str) and data["kind"] not in KINDS:
        document.problem(*document.where(("kind",)), "value", f"kind: is none of {', '.join(KINDS)}")


def check_id(document: Document) -> None:
    """Add a problem if the id is not the file's name, or the file lies in the folder of another kind."""
    data, path = document.data or {}, document.path
    if isinstance(data.get("id"), str) and data["id"] != path.stem:
        document.problem(
            *document.where(("id",)),
            "id",
            f"id: {data['id']} is not the name of the file",
            f"write `id: {plain(path.stem)}`, or rename the file to {data['id']}.yaml",
        )
    in_resources = path.parent.name == "resources"
    if data.get("kind") in KINDS and in_resources == (data["kind"] in PAPER_KINDS):
        right = "papers/" if in_resources else "papers/resources/"
        document.problem(
            *document.where(("kind",)), "folder", f"a {data['kind']} in the wrong folder", f"move it to {right}"
        )


def _fits(key: str, value: Value, shape: type) -> bool:
    if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        return False
    return not isinstance(value, list) or key in MAPPING_LISTS or all(isinstance(item, str) for item in value)
