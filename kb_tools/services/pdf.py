"""The PDFs of papers, kept in the user's cache: whole ones only, and never inside a collection."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from kb_tools.errors import NetworkError, StorageError
from kb_tools.services.transport import CONNECT_SECONDS, READ_SECONDS, USER_AGENT

MAX_BYTES = 200 * 1024 * 1024
MAX_REDIRECTS = 5
_START = b"%PDF-"
_LOOKED_AT = 1024  # bytes in which readers of PDF look for its start


def pdf_folder() -> Path:
    """Where PDFs are kept, for all collections of this user."""
    from platformdirs import user_cache_path

    return user_cache_path("diffusion-kb", appauthor=False) / "pdfs"


def pdf_path(ident: str, address: str) -> Path:
    """Where the PDF of a record is kept that stands at this address; another address is another file."""
    return pdf_folder() / f"{ident}-{hashlib.sha256(address.encode()).hexdigest()[:8]}.pdf"


def fetch(address: str, path: Path) -> None:
    """Download a PDF to a file, which is there whole or not at all; one that is there is replaced.

    Raises NetworkError for what cannot be had or is no PDF, StorageError where the cache cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    parts = _parts(address)
    first = next(parts)  # before a file is begun: most failures are seen here
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(first)
            for part in parts:
                file.write(part)
        temporary.replace(path)
    except OSError as error:
        hint = "free some space, or point XDG_CACHE_HOME elsewhere"
        raise StorageError(f"{path}: cannot be written: {error.strerror}", hint=hint) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _parts(address: str) -> Iterator[bytes]:
    """The bytes as they come.  Every failure of the network is a NetworkError, so that OSError is one of the disk."""
    import requests

    host = urlsplit(address).netloc
    try:
        with requests.Session() as session:
            session.max_redirects = MAX_REDIRECTS
            session.headers["User-Agent"] = USER_AGENT
            with session.get(address, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True) as response:
                if response.status_code != 200:
                    raise NetworkError(
                        f"{host} answers HTTP {response.status_code} to {address}", hint="open it in a browser"
                    )
                yield from _whole(response, host)
    except requests.exceptions.RequestException as error:
        words = "too slow" if isinstance(error, requests.exceptions.Timeout) else type(error).__name__
        raise NetworkError(f"{host} gives no PDF: {words}", hint="check the network and the address") from None


def _whole(response: object, host: str) -> Iterator[bytes]:
    """The parts of an answer, the first of which shows that it is a PDF."""
    import requests

    assert isinstance(response, requests.Response)
    parts = response.iter_content(65_536)
    first = b""
    for part in parts:
        first += part
        if len(first) >= _LOOKED_AT:
            break
    if _START not in first[:_LOOKED_AT]:
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "something"
        raise NetworkError(f"{host} sends {kind} instead of a PDF", hint="open the address in a browser")
    yield first
    size, promised = len(first), response.headers.get("Content-Length", "")
    for part in parts:
        size += len(part)
        if size > MAX_BYTES:
            raise NetworkError(f"{host} sends more than {MAX_BYTES >> 20} MiB", hint="open the address in a browser")
        yield part
    if promised.isdecimal() and "Content-Encoding" not in response.headers and size != int(promised):
        raise NetworkError(f"{host} broke off after {size} of {promised} bytes", hint="try again")
