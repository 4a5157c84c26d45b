"""The second browser: Firefox as the system has it, driven over Marionette, the protocol it speaks itself."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("firefox-esr", "firefox")
START, REPLY = 120, 120  # seconds
_QUIET = {
    "marionette.port": 0,
    "app.update.auto": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "ui.prefersReducedMotion": 1,
}


def found() -> str | None:
    """Where it is: KB_FIREFOX, or what the system has."""
    names = [os.environ.get("KB_FIREFOX"), *NAMES]
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Firefox:
    """One window of it."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire, self._rest, self._count = wire, b"", 0
        self._answer()
        self._ask("WebDriver:NewSession", {})

    def goto(self, address: str) -> None:
        self._ask("WebDriver:Navigate", {"url": address})

    def evaluate(self, expression: str) -> Any:
        """What an expression is there, or what it comes to when it is a promise."""
        return self._ask("WebDriver:ExecuteScript", {"script": f"return ({expression})", "args": []})["value"]

    def size(self, width: int, height: int) -> None:
        """The size of the page itself."""
        frame = self.evaluate("[outerWidth - innerWidth, outerHeight - innerHeight]")
        self._ask("WebDriver:SetWindowRect", {"width": width + frame[0], "height": height + frame[1]})

    def screenshot(self, *, full: bool = False) -> bytes:
        return base64.b64decode(self._ask("WebDriver:TakeScreenshot", {"full": full, "hash": False})["value"])

    def _ask(self, command: str, parameters: dict[str, Any]) -> Any:
        self._count += 1
        said = json.dumps([0, self._count, command, parameters]).encode()
        self._wire.sendall(f"{len(said)}:".encode() + said)
        _, _, error, result = self._answer()
        if error:
            raise RuntimeError(f"{command}: {error['message']}")
        return result

    def _answer(self) -> Any:
        while b":" not in self._rest:
            self._more()
        length, _, self._rest = self._rest.partition(b":")
        while len(self._rest) < int(length):
            self._more()
        said, self._rest = self._rest[: int(length)], self._rest[int(length) :]
        return json.loads(said)

    def _more(self) -> None:
        got = self._wire.recv(1 << 16)
        if not got:
            raise RuntimeError("Firefox has gone")
        self._rest += got


@contextmanager
def firefox(program: str, profile: Path, **settings: Any) -> Iterator[Firefox]:
    """A Firefox without a window on the screen.  settings: of about:config, with __ for the dots."""
    wanted = _QUIET | {name.replace("__", "."): value for name, value in settings.items()}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with socket.create_connection(("127.0.0.1", _port(process, profile)), REPLY) as wire:
            yield Firefox(wire)
    finally:
        process.terminate()
        process.wait()


def _port(process: subprocess.Popen, profile: Path) -> int:
    """Where it listens; it writes that down when it does."""
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            return int((profile / "MarionetteActivePort").read_text())
        except (FileNotFoundError, ValueError):
            time.sleep(0.1)
    raise RuntimeError("Firefox does not start")
