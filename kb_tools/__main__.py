"""`python -m kb_tools` is `kb`."""

import sys

from kb_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
