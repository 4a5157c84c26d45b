"""Asking a server politely: bounded in time, spaced across processes, patient with overload, honest about failure.

Every answer goes through a reader that either understands it or says what is wrong with it; only what was understood
is kept in the cache.  A failure is never an empty answer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from kb_tools import __version__
from kb_tools.errors import NetworkError, StorageError

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

USER_AGENT = f"diffusion-kb/{__version__} (paper knowledge base; one request at a time, answers cached for a day)"
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
ATTEMPT_SECONDS = CONNECT_SECONDS + READ_SECONDS
DEADLINE_SECONDS = 120.0
CACHE_SECONDS = 86_400.0
MAX_BYTES = 16 * 1024 * 1024
MAX_REDIRECTS = 3
WAITS = (3.0, 10.0, 30.0, 60.0)  # before the second attempt, the third, ...
JITTER = 0.25  # a wait is up to this share longer, so that many clients do not come back at once

_BUSY = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class BusyError(NetworkError):
    """A failure that may pass; `retry_after` is how many seconds the server asked to wait, if it said."""

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Clock:
    """Time as the transport sees it; tests put their own in its place."""

    def wall(self) -> float:
        """Seconds since the epoch, the same for all processes."""
        return time.time()

    def steady(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def jitter(self) -> float:
        """Uniform in [0, 1)."""
        return random.random()


CLOCK = Clock()


class Reply(NamedTuple):
    """What a server answered; `kind` is the media type without parameters, lower-case."""

    status: int
    kind: str
    body: bytes

    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def excerpt(self) -> str:
        """The beginning of the body on one line, fit to be shown."""
        plain = "".join(letter if letter.isprintable() else " " for letter in self.text()[:400])
        return " ".join(plain.split())[:120]


@dataclass(frozen=True)
class Service:
    """A server: its name in messages, its address, and the least seconds between two requests to it.

    headers are sent and `secret` parameters are added with every request; neither is ever shown or cached.
    """

    name: str
    url: str
    variable: str
    spacing: float
    headers: Mapping[str, str]
    secret: Mapping[str, str]

    @classmethod
    def at(
        cls,
        name: str,
        variable: str,
        default: str,
        *,
        spacing: float,
        headers: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
    ) -> Service:
        """The service at its default address, or where the environment variable points."""
        url = (os.environ.get(variable) or default).rstrip("/")
        return cls(name, url, variable, spacing, headers or {}, secret or {})


class Transport:
    """Requests to one service.

    patient: wait and try again while the server is busy, up to two minutes in all; else one short attempt.  until: when
    to give up at the latest, on the clock's steady time.
    fresh: do not read the cache (what comes is still written there).  tell: receives a line when there is a wait.
    """

    def __init__(
        self,
        service: Service,
        *,
        patient: bool = True,
        fresh: bool = False,
        tell: Callable[[str], None] | None = None,
        folder: Path | None = None,
        until: float = math.inf,
    ) -> None:
        self.service, self.until = service, until
        self.patient, self.fresh = patient, fresh
        self.tell = tell or (lambda line: None)
        self.folder = folder or cache_folder()
        self.clock = CLOCK
        self._session: requests.Session | None = None

    def ask(
        self,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Reply], T],
        *,
        body: Mapping[str, list[str]] | None = None,
    ) -> T:
        """What `read` makes of the answer to GET service/path?params (POST if there is a JSON body).

        read: raises NetworkError for an answer it cannot use, BusyError if asking again may help.  Raises NetworkError
        naming the service, what happened, and what to do, when there is no usable answer in time; StorageError if the
        cache, through which requests are spaced, cannot be written.
        """
        url = self.service.url + path + ("?" + urlencode(params) if params else "")
        cached = None if self.fresh else self._cached(url, body)
        if cached is not None:
            return read(cached)
        allowed = DEADLINE_SECONDS if self.patient else ATTEMPT_SECONDS
        deadline = min(self.clock.steady() + allowed, self.until)
        waits = iter(WAITS if self.patient else ())
        while True:
            try:
                reply = self._send(url, body, deadline)
                result = read(reply)
            except BusyError as busy:
                self._wait(busy, next(waits, None), deadline)
            else:
                self._keep(url, body, reply)
                return result

    def _wait(self, busy: BusyError, planned: float | None, deadline: float) -> None:
        """Sleep before the next attempt, or raise what was wrong if there is none."""
        if planned is None:
            raise busy
        seconds = max(planned * (1 + JITTER * self.clock.jitter()), busy.retry_after or 0.0)
        if self.clock.steady() + seconds >= deadline:
            if busy.retry_after:
                asked = f"{busy.message}, and asks to wait {busy.retry_after:.0f} s"
                raise BusyError(asked, hint=busy.hint, retry_after=busy.retry_after) from busy
            raise busy
        self.tell(f"kb: {busy.message}; trying again in {seconds:.0f} s (Ctrl-C stops)")
        self.clock.sleep(seconds)

    def _send(self, url: str, body: Mapping[str, list[str]] | None, deadline: float) -> Reply:
        """One request, redirects inside the host included."""
        for _ in range(MAX_REDIRECTS + 1):
            with self._turn(deadline):
                reply, header = self._exchange(url, body, deadline)
            if reply.status in _BUSY:
                raise self._busy(reply, header)
            if reply.status not in _REDIRECTS:
                return reply
            target = urljoin(url, header or "")
            if not header or not _same_service(self.service.url, target):
                raise NetworkError(
                    f"{self.service.name} sends us elsewhere: HTTP {reply.status} to {header or 'nowhere'}",
                    hint=f"if the service has moved there, set {self.service.variable} to its new address",
                )
            url = target
        raise NetworkError(f"{self.service.name} redirects in circles", hint="try again later")

    def _busy(self, reply: Reply, retry_after: str | None) -> BusyError:
        words = (
            "is asked too often (HTTP 429)" if reply.status == 429 else f"is overloaded or down (HTTP {reply.status})"
        )
        return BusyError(
            f"{self.service.name} {words}",
            hint="nothing is wrong with the reference: try again in a few minutes",
            retry_after=self._seconds(retry_after),
        )

    def _seconds(self, retry_after: str | None) -> float | None:
        """Seconds of a Retry-After header, which holds a number or a date."""
        if not retry_after:
            return None
        if retry_after.strip().isdecimal():
            return float(retry_after)
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max((moment - datetime.fromtimestamp(self.clock.wall(), UTC)).total_seconds(), 0.0)

    def _exchange(self, url: str, body: Mapping[str, list[str]] | None, deadline: float) -> tuple[Reply, str | None]:
        """Send once; returns the reply with its Location (of a redirect) or Retry-After header."""
        import requests
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        name = self.service.name
        left = max(deadline - self.clock.steady(), 0.1)
        if self._session is None:
            self._session = requests.Session()
            self._session.headers["User-Agent"] = USER_AGENT
        try:
            with self._session.request(
                "GET" if body is None else "POST",
                url,
                params=dict(self.service.secret),
                headers=dict(self.service.headers),
                json=None if body is None else dict(body),
                timeout=(min(CONNECT_SECONDS, left), min(READ_SECONDS, left)),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = self._content(response, deadline)
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                header = "Location" if response.status_code in _REDIRECTS else "Retry-After"
                return Reply(response.status_code, kind, content), response.headers.get(header)
        except requests.exceptions.SSLError:
            raise NetworkError(
                f"{name} has no valid certificate at {_host(url)}", hint="check the clock and the proxy"
            ) from None
        except (requests.exceptions.ReadTimeout, ReadTimeoutError):
            raise BusyError(
                f"{name} did not answer within {min(READ_SECONDS, left):.0f} s",
                hint="the server is slow: try again later",
            ) from None
        except requests.exceptions.ConnectTimeout:
            raise NetworkError(
                f"{name} cannot be reached: no connection to {_host(url)} within {CONNECT_SECONDS:.0f} s",
                hint="check the network, or use --offline where the command has it",
            ) from None
        except (requests.exceptions.ConnectionError, HTTPError) as error:
            if _never_connected(error):
                raise NetworkError(
                    f"{name} cannot be reached: no connection to {_host(url)}",
                    hint="check the network, or use --offline where the command has it",
                ) from None
            raise BusyError(f"{name} broke off in the middle of its answer", hint="try again") from None
        except requests.exceptions.RequestException as error:
            raise NetworkError(f"{name} cannot be asked: {error}", hint=f"check {self.service.variable}") from None

    def _content(self, response: requests.Response, deadline: float) -> bytes:
        """The body, read as it comes, so that neither a trickle nor a flood can hold us."""
        name = self.service.name
        parts, size = [], 0
        while part := response.raw.read1(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES:
                raise NetworkError(f"{name} sends more than {MAX_BYTES >> 20} MiB", hint="this cannot be an answer")
            if self.clock.steady() > deadline:
                raise NetworkError(f"{name} sends its answer too slowly", hint="the server is slow: try again later")
        return b"".join(parts)

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """Hold this service's turn: one request at a time and one per `spacing` seconds, over all processes."""
        from filelock import FileLock, Timeout

        stem = hashlib.sha256(urlsplit(self.service.url).netloc.encode()).hexdigest()[:16]
        stamp = self.folder / f"{stem}.last"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{stem}.lock", timeout=max(deadline - self.clock.steady(), 0.1))
            lock.acquire()
        except Timeout:
            raise NetworkError(
                f"other kb commands are asking {self.service.name} all the time", hint="let them finish, then try again"
            ) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            since = self.clock.wall() - _read_stamp(stamp)
            if 0 <= since < self.service.spacing:
                self.clock.sleep(self.service.spacing - since)
            try:
                stamp.write_text(repr(self.clock.wall()), encoding="utf-8")
            except OSError as error:
                raise self._unusable(error) from None
            yield
        finally:
            # Counted from the end of an exchange, so that the server sees the spacing however long our side took.
            with suppress(OSError):
                stamp.write_text(repr(self.clock.wall()), encoding="utf-8")
            lock.release()

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.folder}: the cache folder cannot be used: {error.strerror}",
            hint="requests are spaced through it: free some space, or point XDG_CACHE_HOME elsewhere",
        )

    def _entry(self, url: str, body: Mapping[str, list[str]] | None) -> Path:
        asked = json.dumps([url, body], sort_keys=True)
        return self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"

    def _cached(self, url: str, body: Mapping[str, list[str]] | None) -> Reply | None:
        """The kept answer, if it is less than a day old; a damaged one counts as none."""
        try:
            kept = json.loads(self._entry(url, body).read_text(encoding="utf-8"))
            if kept["url"] == url and 0 <= self.clock.wall() - kept["time"] < CACHE_SECONDS:
                return Reply(kept["status"], kept["kind"], kept["body"].encode("latin-1"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None

    def _keep(self, url: str, body: Mapping[str, list[str]] | None, reply: Reply) -> None:
        """Write an answer to the cache; a cache that cannot be written costs time, not the answer."""
        entry = self._entry(url, body)
        kept = {"url": url, "time": self.clock.wall(), "status": reply.status, "kind": reply.kind}
        kept["body"] = reply.body.decode("latin-1")  # every byte as it came
        temporary = entry.with_suffix(f".{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(kept), encoding="utf-8")
            temporary.replace(entry)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where answers and the times of requests are kept, for all collections of this user."""
    from platformdirs import user_cache_path

    return user_cache_path("diffusion-kb", appauthor=False) / "services"


def _read_stamp(path: Path) -> float:
    try:
        return float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def _same_service(home: str, target: str) -> bool:
    """Whether a redirect stays with the host, and does not fall back from https."""
    one, other = urlsplit(home), urlsplit(target)
    return one.hostname == other.hostname and other.scheme in ("https", one.scheme)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _never_connected(error: BaseException | None) -> bool:
    """Whether a failure happened before there was a connection: a name that is unknown, a port that refuses."""
    from urllib3.exceptions import NewConnectionError

    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if isinstance(one, NewConnectionError | ConnectionRefusedError):
            return True
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            left += [*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)]
    return False
