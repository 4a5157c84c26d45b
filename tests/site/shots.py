"""Pictures of twelve pages of the project's site, in two widths and both schemes, for docs/site.md; and the README's.

`python -m tests.site.shots` (or `make shots`) builds the site in a temporary folder and writes docs/shots/.
Look at them before committing.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from kb_tools.records.store import Collection
from kb_tools.site.build import build
from tests.site.conftest import chromium, served

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "docs" / "shots"
WIDTHS = {1280: 860, 390: 844}
SCHEMES = ("light", "dark")
PAGES = {
    "home": "",
    "papers": "papers/",
    "paper": "papers/ddim/",
    "paper-samples": "papers/ddpm/#samples",
    "topics": "topics/",
    "order": "order/?goal=consistency-models",
    "graph": "graph/",
    "gallery": "gallery/",
    "compare": "compare/few-steps/",
    "verification": "verification/",
    "code": "code/ddim/",
    "resources": "resources/",
}

README = ROOT / "docs" / "paper.webp", "papers/ddim/", ViewportSize(width=1280, height=1790), 960
"""The picture at the README's head: its file, its page, the window, and how many pixels across are kept."""


def shot(page: Page, address: str) -> Image.Image:
    page.goto(address)
    page.locator("html[data-ready]").wait_for(state="attached")
    page.evaluate("document.fonts.ready")
    page.wait_for_load_state("networkidle")  # pictures further down are not asked for before they are near
    return Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")


def readme(browser: Browser, address: str) -> None:
    path, page_address, size, wide = README
    page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
    seen = shot(page, address + page_address)
    small = seen.resize((wide, round(seen.height * wide / seen.width)), Image.Resampling.LANCZOS)
    small.save(path, "WEBP", quality=75, method=6)
    page.close()


def main() -> None:
    SHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        collection = Collection(ROOT)
        for site in served(collection, build(collection, Path(folder))):
            for width, height in WIDTHS.items():
                for scheme in SCHEMES:
                    size = ViewportSize(width=width, height=height)
                    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
                    page = context.new_page()
                    for name, address in PAGES.items():
                        path = SHOTS / f"{name}-{width}-{scheme}.webp"
                        shot(page, site.address + address).save(path, "WEBP", quality=70, method=6)
                        print(path.relative_to(ROOT), file=sys.stderr)
                    context.close()
            readme(browser, site.address)


if __name__ == "__main__":
    main()
