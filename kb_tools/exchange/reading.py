"""From the bytes of a file to its text."""

from __future__ import annotations

from kb_tools.errors import InvalidRecordError


def decode(raw: bytes, encoding: str | None, name: str) -> tuple[str, str | None]:
    """The text of a file, and the encoding that was guessed, if it had to be.

    Raises InvalidRecordError where `encoding` does not fit, or where nothing does.
    """
    try:
        if encoding is not None:
            return raw.decode(encoding), None
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            return raw.decode("utf-16"), None
        return raw.decode("utf-8-sig"), None
    except LookupError:
        raise InvalidRecordError(
            f"there is no encoding {encoding!r}", hint="utf-8, cp1252, latin-1, gbk, ..."
        ) from None
    except UnicodeDecodeError:
        if encoding is not None or b"\0" in raw:
            raise InvalidRecordError(
                f"{name} is not {encoding or 'UTF-8'}", hint="name its encoding with --encoding, or save it as UTF-8"
            ) from None
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"
