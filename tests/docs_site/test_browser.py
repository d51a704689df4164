"""Pages of the built site in headless Chromium: formulas are drawn, and nothing goes wrong on the way."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = (
    "docs/site/index",
    "docs/site/method",
    "docs/methods",
    "theory/05_update",
    "notebooks/02_derivations",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BUILT / "index.html").exists(), reason="the site is not built: make docs"),
]


def opened(page: str) -> tuple[str, str]:
    """The page as it is after its scripts have run, and what Chromium logged."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        "--virtual-time-budget=30000", "--dump-dom", (BUILT / f"{page}.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_drawn_and_no_error_is_logged(page: str):
    source = (BUILT / f"{page}.html").read_text(encoding="utf-8")
    written = len(re.findall(r'class="math notranslate', source))
    assert written or page == "docs/site/index"
    drawn, log = opened(page)
    assert len(re.findall("<mjx-container", drawn)) == written
    assert "data-mjx-error" not in drawn
    assert "CONSOLE" not in log


def test_nothing_is_loaded_from_elsewhere():
    for path in BUILT.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*src="(https?:[^"]*)"', text)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preload)"[^>]*href="(https?:[^"]*)"', text)
        assert loaded == [], path
