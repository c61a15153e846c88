#!/usr/bin/env python3
"""Build the page of the HTML report: web/ into src/spprof/export/_report/.

    tools/build_web.py

Needs Node.js 18 or newer with npm, which fetches TypeScript and esbuild as web/package-lock.json says. As a dist script of
Meson it puts the page into the source distribution; one that is there and up to date is taken as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ.get("MESON_SOURCE_ROOT") or Path(__file__).resolve().parents[1])
WEB = ROOT / "web"
PLACE = Path("src", "spprof", "export", "_report")
NAMES = ("report.js", "report.css")


def is_built() -> bool:
    """Whether there is a page, younger than all that it is made of. Without sources, as they are in a release, any will do."""
    built = [ROOT / PLACE / name for name in NAMES]
    if not all(path.is_file() for path in built):
        return False
    sources = [*WEB.glob("src/*"), *WEB.glob("*.json"), *WEB.glob("*.mjs")]
    return not sources or min(p.stat().st_mtime for p in built) >= max(p.stat().st_mtime for p in sources)


def build() -> None:
    """Types are checked too: a page that does not pass is not built."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(
            "build_web: the page of the HTML report needs Node.js 18 or newer with npm (Debian: apt-get install nodejs npm); "
            "without it everything but .html works"
        )
    for command in (["ci"], ["run", "--silent", "check"], ["run", "--silent", "build"]):
        done = subprocess.run([npm, *command], cwd=WEB, stdout=sys.stderr, check=False)
        if done.returncode:
            sys.exit(f"build_web: npm {' '.join(command)} failed in {WEB} (exit {done.returncode})")


def main() -> None:
    if not is_built():
        build()
    dist = os.environ.get("MESON_DIST_ROOT")
    if dist:
        target = Path(dist) / PLACE
        target.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            shutil.copyfile(ROOT / PLACE / name, target / name)


if __name__ == "__main__":
    main()
