"""Pictures for the docs site, made from a real profile when the site is built; none of them is kept in the repository.

Usage: ``python tools/docs_pictures.py FOLDER``. Also mkdocs' hook (mkdocs.yml): ``<!-- picture: NAME | TEXT -->`` in a page
becomes the picture. Without a Chromium, or without the page of the report (`make web`), there are no screenshots.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = {"report.png": "light", "report-dark.png": "dark"}


def make(folder: Path) -> list[Path]:
    """Makes the pictures in *folder*; gives those that there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    run = [sys.executable, "-m", "spprof", "run", "-q", "--interval-ms", "1"]
    example = str(ROOT / "examples" / "search_index.py")
    profile = folder / "profile.spprof"
    subprocess.run([*run, "-o", str(profile), example], check=True, stdout=subprocess.DEVNULL)
    convert = [sys.executable, "-m", "spprof", "convert", str(profile)]
    subprocess.run([*convert, str(folder / "flame.svg")], check=True)
    report = folder / "report.html"
    if subprocess.run([*convert, str(report)], check=False).returncode == 0:
        _screenshots(report, folder)
        report.unlink()
    profile.unlink()
    return sorted(folder.iterdir())


def _screenshots(report: Path, folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("docs_pictures: no Chromium or no playwright, so no screenshots", file=sys.stderr)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, scheme in SCREENSHOTS.items():
            page = browser.new_page(viewport={"width": 1280, "height": 760}, color_scheme=scheme)
            page.goto(report.as_uri())
            page.wait_for_timeout(800)
            page.screenshot(path=str(folder / name))
        browser.close()


# ---- mkdocs


def on_files(files: object, config: object) -> object:
    """Mkdocs' hook: the pictures are files of the site."""
    from mkdocs.structure.files import File

    for picture in make(ROOT / "build" / "docs_pictures"):
        name = f"pictures/{picture.name}"
        files.append(File.generated(config, name, abs_src_path=str(picture)))  # type: ignore[attr-defined]
    return files


def on_page_markdown(markdown: str, page: object, config: object, files: object) -> str:  # noqa: ARG001
    """Mkdocs' hook: marks become pictures, those that could not be made are left out."""
    import os
    import re

    here = os.path.dirname(page.file.src_uri)  # type: ignore[attr-defined]

    def picture(match: re.Match[str]) -> str:
        name = f"pictures/{match.group(1)}"
        known = files.get_file_from_path(name)  # type: ignore[attr-defined]
        return f"![{match.group(2)}]({os.path.relpath(name, here or '.')})" if known else ""

    return re.sub(r"<!-- picture: (\S+) \| (.*?) -->", picture, markdown)


if __name__ == "__main__":
    print("\n".join(map(str, make(Path(sys.argv[1])))))
