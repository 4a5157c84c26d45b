"""Play a session of `kb` on a terminal of its own and write down what the screen showed: docs/kb-session.md.

    python benchmarks/kb_session.py

The collection is a copy, so nothing here is changed; arXiv's answer is a recorded one, served on this machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import sys
import tempfile
import termios
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "kb-session.md"
FEED = PROJECT / "tests" / "kb_tools" / "fixtures" / "arxiv" / "single_entry_plain.json"
ROWS, COLUMNS = 50, 100

# What is said before, what is typed at the prompt of the shell, and what is typed when a question stands there.
SESSION = [
    ("What to read next, and in which order.", "kb next -n 2", {}),
    ("", "kb order --goal ddim", {}),
    ("Look around.", "kb search guidance --wr 2", {}),
    ("", "kb show ddim", {}),
    ("", "kb list --topic sampling --sort wr", {}),
    ("Mark what you have read; first look at what would be written.", "kb read ddpm --on 2026-11-20 --dry-run", {}),
    ("", "kb read ddpm --on 2026-11-20", {}),
    ("", "kb status ddim reading --on 2026-11-21", {}),
    ("", "kb next -n 1", {}),
    ("", "kb progress --goal consistency-models", {}),
    ("Add a paper. Asking for it again changes nothing; a typo costs no request.", "kb add 1605.08386v1", {}),
    ("", "kb add https://arxiv.org/pdf/1605.08386", {}),
    ("", "kb add 2013.11239", {}),
    (
        "A slip of the hand is named with its place and its remedy.",
        "printf 'doi: 2006.11230\\n' >> papers/dsm.yaml",
        {},
    ),
    ("", "kb check; echo exit code $?", {}),
    ("", "kb show dsm; echo exit code $?", {}),
    (
        "Edit: what is not valid can be opened again, and never replaces the record.",
        "kb edit stanley-2016-heat",
        {"Open it again? [Y/n]: ": "n\n"},
    ),
    ("The graph.", "kb graph stats", {}),
    ("", "kb graph similar ddim -n 3", {}),
    ("", "kb graph missing --min 9", {}),
    ("For other programs.", "kb export ddim --format bibtex", {}),
    ("", "kb list --wr 3 --has code --fields id,year,implementation | head -4", {}),
    ("", "kb shwo ddim; echo exit code $?", {}),
]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="kb-session-") as folder:
        root = Path(folder) / "reading"
        root.mkdir()
        for name in ("papers", "implementations"):
            shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "mkdocs.yml", root)
        editor = Path(folder) / "nano"
        editor.write_text("#!/bin/sh\nfor file; do :; done\nsed -i 's/^year: .*/year: MMXVI/' \"$file\"\n")
        editor.chmod(0o755)
        server = _arxiv()
        kept = ("HOME", "LANG", "LC_ALL", "PYTHONPATH")
        environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "VISUAL": str(editor),
            "XDG_CACHE_HOME": str(Path(folder) / "cache"),
            "KB_ARXIV_URL": f"http://127.0.0.1:{server.server_port}",
        }
        parts = [
            _part(words, command, _screen(command, answers, root, environment)) for words, command, answers in SESSION
        ]
        server.shutdown()
    PAGE.write_text(_page(parts), encoding="utf-8")
    print(f"{PAGE.relative_to(PROJECT)}: {len(SESSION)} commands")
    return 0


def _arxiv() -> HTTPServer:
    """A server that answers every question with the recorded feed."""
    body = json.loads(FEED.read_text(encoding="utf-8"))["body"].encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/atom+xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """The transcript is of the command."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _screen(command: str, answers: dict[str, str], root: Path, environment: dict[str, str]) -> str:
    """What a command shows on a terminal, with what was typed into it, without colours."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(root)
        os.execve("/bin/sh", ["sh", "-c", "sleep 0.2; " + command], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    seen, left = b"", dict(answers)
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
        for question in [question for question in left if question.encode() in seen]:
            os.write(terminal, left.pop(question).encode())
    os.close(terminal)
    os.waitpid(child, 0)
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).replace("\r\n", "\n").replace(str(root), "~/reading")


def _part(words: str, command: str, screen: str) -> str:
    lead = f"{words}\n\n" if words else ""
    text = f"$ {command}\n{screen}".rstrip("\n")
    return f"{lead}```console\n" + "\n".join(line.rstrip() for line in text.split("\n")) + "\n```\n"


def _page(parts: list[str]) -> str:
    head = f"""# A session

Written by `python benchmarks/kb_session.py`, which types each line into a terminal of {COLUMNS} columns and keeps
what the screen shows (the colours are left out). The collection is a copy of this one; arXiv's answer is a recorded
one, served on the same machine; the editor is a script that spoils the year.
"""
    return "\n".join([head, *parts])


if __name__ == "__main__":
    sys.exit(main())
