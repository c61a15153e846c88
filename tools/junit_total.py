"""Add up the results of several pytest runs.

    junit_total.py FOLDER

Reads FOLDER/*.xml as `pytest --junitxml` writes them. An empty file NAME.crashed beside them stands for a run that
ended without results, and counts as one failure. Prints a line per run, then the sum alone on the last line. Exit code
1 if anything failed or nothing ran.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def counts(path: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped of one file. Unreadable ones (a run that was killed) count as one failure."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return 0, 1, 0
    total = failed = skipped = 0
    for suite in root.iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(total - failed - skipped, 0), failed, skipped


def main(folder: Path) -> int:
    runs = {path.stem: counts(path) for path in folder.glob("*.xml")}
    for path in folder.glob("*.crashed"):
        passed, failed, skipped = runs.get(path.stem, (0, 0, 0))
        runs[path.stem] = passed, max(failed, 1), skipped
    for name, (passed, failed, skipped) in sorted(runs.items()):
        print(f"{name:10} {passed:6} passed {failed:4} failed {skipped:4} skipped")
    passed, failed, skipped = (sum(column) for column in zip((0, 0, 0), *runs.values()))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
