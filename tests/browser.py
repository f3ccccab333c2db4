"""A real browser for the tests: Debian's Chromium, headless, with no network, on pages that lie on disk."""

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")

# Ahead of everything else in the page: notes what failed, and what was asked of another place, whether it came or not.
_WATCH = """<script>
const failed = [];
addEventListener('error', event => failed.push(event.target.src || event.target.href || event.message), true);
addEventListener('unhandledrejection', event => failed.push(String(event.reason)));
console.error = (...words) => failed.push(words.join(' '));
addEventListener('load', () => setTimeout(() => {
  const asked = performance.getEntriesByType('resource').map(entry => entry.name);
  const elsewhere = asked.filter(name => /^(https?|wss?):/.test(name));
  document.documentElement.setAttribute('data-failed', JSON.stringify([...failed, ...elsewhere]));
  document.documentElement.setAttribute('data-seen', JSON.stringify((() => { SCRIPT })() ?? null));
}, 300));
</script>"""


@dataclass(frozen=True)
class Shown:
    """A page after its scripts ran. `complaints`: errors of its scripts and its loads; `seen`: what the script gave."""

    complaints: list[str]
    seen: Any


def find() -> str:
    """The browser's command. Without one the test is skipped, but in CI it fails."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed (on Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def show(page: Path, folder: Path, width: int = 1280, height: int = 1600, script: str = "") -> Shown:
    """Open `page` and look. `folder`: for the browser's own files; `script`: a function's body, run in the page.

    Every host name is unknown to this browser: nothing that a page wants from elsewhere can come.
    """
    watched = page.with_name(f"{page.stem}-under-test.html")
    text = page.read_text(encoding="utf-8")
    watched.write_text(text.replace("<head>", f"<head>{_WATCH.replace('SCRIPT', script)}", 1), encoding="utf-8")
    command = [find(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"]
    command += ["--virtual-time-budget=3000", "--dump-dom", watched.resolve().as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    finally:
        watched.unlink()
    return Shown(_attribute(done.stdout, "data-failed"), _attribute(done.stdout, "data-seen"))


def _attribute(text: str, name: str) -> Any:
    found = re.search(rf'{name}="([^"]*)"', text)
    assert found, "the page was not loaded to its end"
    return json.loads(html.unescape(found[1]))
