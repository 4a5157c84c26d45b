"""The site of a collection of one's own, which has a kb.yaml: which pages it has, mkdocs' settings, and its colours.

The project's own site has its mkdocs.yml instead, and all pages.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from markupsafe import escape

import kb_tools
from kb_tools.appearance.colours import TEXT, contrast, mixed
from kb_tools.errors import KbError
from kb_tools.records.fields import SETTINGS_FILE
from kb_tools.records.model import Colours, Settings
from kb_tools.records.settings import BEHIND
from kb_tools.site.knowledge import Knowledge

NAV = (  # title, Markdown file, and the name in `pages_there` that it hangs on
    ("Home", "index.md", ""),
    ("Papers", "papers/index.md", ""),
    ("Topics", "topics/index.md", ""),
    ("Reading order", "order/index.md", ""),
    ("Graph", "graph/index.md", ""),
    ("Gallery", "gallery.md", "methods"),
    ("Verification", "verification.md", "methods"),
    ("Speed", "speed.md", "speed"),
    ("Resources", "resources.md", "resources"),
    ("Contribute", "contribute.md", "contribute"),
    ("Data and feeds", "data/index.md", ""),
)
STYLES, FAVICON = "assets/css/kb.css", "assets/img/favicon.svg"
INK = {"light": "#17212b", "dark": "#e6ecee"}
SELECTORS = {"light": ':root,[data-md-color-scheme="default"]', "dark": '[data-md-color-scheme="slate"]'}
SOFT = 0.15  # of the colour behind what is chosen, less where it could not be read on that
_ICON = "#0f766e"


def sources(root: Path) -> Path:
    """Where the site's templates, theme, styles and scripts are: in the collection's own site/, or installed with kb.

    Errors: KbError for a collection that has neither a site/ of its own nor a kb.yaml.
    """
    if (root / "site" / "templates").is_dir():
        return root / "site"
    if not (root / SETTINGS_FILE).is_file():
        raise KbError(
            f"{root / 'site'}: no templates to build from",
            hint=f'write `title: "My reading"` into {SETTINGS_FILE} there, and the site is built from those of kb',
        )
    package = Path(kb_tools.__file__).parent
    places = (package / "site_sources", package.parent / "site")  # in a wheel; in a clone
    return next((place for place in places if (place / "templates").is_dir()), places[0])


def pages_there(k: Knowledge) -> frozenset[str]:
    """Which parts the site has beyond those of every site: all, or what one's own collection holds something for."""
    held = {
        "methods": k.methods,
        "speed": k.proofs.benchmarks,
        "resources": k.resources,
        "contribute": not k.settings,
        "project": not k.settings,
    }
    return frozenset(name for name, value in held.items() if value or not k.settings)


def configuration(k: Knowledge, settings: Settings, theme: Path) -> str:
    """The text of a mkdocs.yml.  theme: the folder of the theme's own templates.

    mkdocs puts names into pages as they are, so they are escaped here.
    """
    there = pages_there(k)
    said = {
        "site_name": str(escape(settings.title)),
        "site_description": str(escape(settings.description or settings.title)),
        "site_url": os.environ.get("KB_SITE_URL") or settings.site_url or "",
        "use_directory_urls": True,
        "strict": True,
        "theme": {
            "name": "material",
            "custom_dir": str(theme),
            "font": False,
            "favicon": FAVICON,
            "palette": {"scheme": "default", "primary": "custom", "accent": "custom"},
        },
        "extra_css": [STYLES],
        "extra": {"own": True, "repository": str(escape(settings.repository or ""))},
        "plugins": [],
        "markdown_extensions": ["tables", "fenced_code", {"toc": {"permalink": False}}],
        "nav": [{title: file} for title, file, part in NAV if not part or part in there],
        "not_in_nav": "/papers/*\n/topics/*\n/order/*\n/code/*\n/compare/*\n/graph/*\n",
        "validation": {"omitted_files": "warn", "absolute_links": "warn", "unrecognized_links": "warn"},
    }
    return yaml.safe_dump(said, allow_unicode=True, sort_keys=False)


def coloured(files: dict[str, bytes], colours: Colours) -> None:
    """Put the owner's colours into the style sheet and the icon among the files of a site."""
    rules = "".join(_rule(where, colour) for where, colour in colours.model_dump(exclude_none=True).items())
    if STYLES in files:
        files[STYLES] += rules.encode()
    if FAVICON in files and colours.light:
        files[FAVICON] = files[FAVICON].replace(_ICON.encode(), colours.light.encode())


def _rule(where: str, colour: str) -> str:
    """The variables of the style sheet that hang on one colour."""
    ground, ink = BEHIND[where][0], INK[where]
    shares = (SOFT - step / 100 for step in range(16))
    soft = next((s for s in (mixed(ground, colour, share) for share in shares) if contrast(colour, s) >= TEXT), ground)
    on = max(("#ffffff", "#06201c"), key=lambda one: contrast(colour, one))
    rule = (
        f"{SELECTORS[where]}{{--accent:{colour};--accent-2:{mixed(colour, ink, 0.3)};"
        f"--accent-soft:{soft};--on-accent:{on};--code-f:{colour}}}\n"
    )
    return rule if where == "light" else f"@media screen{{{rule}}}\n"
