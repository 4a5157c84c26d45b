"""The `kb` command.  `main` is its entry point; each command lives in a module that is loaded when it is called."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run `kb`; returns the exit code (see kb_tools.errors for what each means)."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from kb_tools import __version__

        try:
            print(f"kb {__version__}", flush=True)
        except OSError as error:
            sys.stderr.write(f"kb: the output: cannot be written: {error.strerror}\n")
            return 6
        return 0
    try:
        from kb_tools.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:  # while modules are still being loaded
        sys.stderr.write("kb: interrupted\n")
        return 130
