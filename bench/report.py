"""Child: what the HTML report costs, by the number of samples and of distinct stacks: to write, to open, to move.

report.py SAMPLES STACKS

Opening and moving are measured in headless Chromium, if playwright and a Chromium are there (CHROMIUM names one). Moving: the
window is shifted in each frame; told are the time between frames and the script's own time for one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time_ns
from typing import Any

from exporters import made

OPENINGS = 5
WINDOWS = {"weight": ((0, 0.99), (0.2, 0.7), (0.4, 0.41)), "time": ((0, 0.99), (0.2, 0.7), (0.4, 0.41))}
MOVING = """async ([from, to]) => {
  const { flame } = spprof, own = [], gaps = [];
  flame.window = [from, to];
  let before = 0;
  await new Promise(done => {
    let frame = 0;
    const step = now => {
      if (before && frame > 5) { gaps.push(now - before); own.push(flame.drawing.ms); }
      before = now;
      const [a, b] = flame.window, shift = (b - a) / 100 * (frame % 60 < 30 ? 1 : -1);
      flame.window = [a + shift, b + shift];
      if (++frame < 120) requestAnimationFrame(step); else done();
    };
    requestAnimationFrame(step);
  });
  return { own, gaps };
}"""


def in_chromium(path: Path) -> dict[str, Any]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    report: dict[str, Any] = {"open_ms": [], "frames": {}}
    with sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        for _ in range(OPENINGS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            begin = perf_counter()
            page.goto(path.as_uri())
            page.wait_for_function("() => window.spprof && spprof.flame.drawing.frames")
            report["open_ms"].append((perf_counter() - begin) * 1000)
            if len(report["open_ms"]) < OPENINGS:
                page.close()
        for order, windows in WINDOWS.items():
            page.evaluate("(order) => spprof.update({ order })", order)
            page.wait_for_timeout(500)
            found: dict[str, list[float]] = {"own": [], "gaps": []}
            for window in windows:
                for name, values in page.evaluate(MOVING, window).items():
                    found[name].extend(values)
            report["frames"][order] = found
        browser.close()
    return report


def main() -> None:
    samples, stacks = map(int, sys.argv[1:])
    profile = made(samples, stacks)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.html")
        begin = process_time_ns()
        profile.save(path)
        report: dict[str, Any] = {
            "save_ms": (process_time_ns() - begin) / 1e6,
            "bytes": path.stat().st_size,
            "stacks": len(set(profile._rows.nodes)),
        }
        report.update(in_chromium(path))
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
