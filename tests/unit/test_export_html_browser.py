"""The HTML report in Chromium: what it shows is the profile, and it asks nobody for anything.

Needs the page (`make web`), playwright and a Chromium; skipped without. The page's own object, `window.spprof`, tells what is
drawn on its canvases.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from profiles import MS, example, make_profile, raw_profile
from report import is_built
from test_export_spprof import elapsed

from spprof._build import profile_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the page is not built (make web)"),
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium"),
]
# A picture is drawn within two frames of a change.
SETTLED = (
    "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
)
BOXES = """() => spprof.flame.shown.map(box =>
  [spprof.name(box.key), box.depth, Math.round(box.start / 1e6), Math.round((box.end - box.start) / 1e6)])"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


class Page:
    """A report that is open."""

    def __init__(self, page: Any, requests: list[str], errors: list[str]) -> None:
        self.page = page
        self.requests = requests
        self.errors = errors

    def settle(self) -> None:
        self.page.evaluate(SETTLED)

    def __call__(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def boxes(self) -> dict[tuple[str, int], int]:
        """What is drawn: by name and row the width in ms."""
        self.settle()
        found: dict[tuple[str, int], int] = {}
        for name, depth, _, width in self(BOXES):
            found[name, depth] = found.get((name, depth), 0) + width
        return found

    def table(self) -> list[list[str]]:
        self.settle()
        return [
            [cell.inner_text().replace("\n", " ") for cell in row.query_selector_all(".cell")]
            for row in self.page.query_selector_all(".rows .row")
        ]

    def middle_of(self, name: str, depth: int) -> tuple[float, float]:
        """Where a box of the flame graph is on the screen."""
        found: list[float] = self(
            """([name, depth]) => { const { flame } = spprof;
              const box = flame.shown.find(b => spprof.name(b.key) === name && b.depth === depth);
              const edge = flame.canvas.getBoundingClientRect(), [from, to] = flame.window, total = flame.shown[0].end;
              const place = (box.start + box.end) / 2 / total;
              return [edge.x + (place - from) / (to - from) * edge.width, edge.y + depth * 19 + 9]; }""",
            [name, depth],
        )
        return found[0], found[1]


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    contexts: list[Any] = []
    pages: list[Page] = []

    def opened(profile: Any, hash: str = "", **options: Any) -> Page:
        path = tmp_path / f"{len(pages)}.html"
        profile.save(path)
        options.setdefault("viewport", {"width": 1400, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        requests: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (errors.append("dialog"), dialog.dismiss()))
        page.goto(path.as_uri() + (f"#{hash}" if hash else ""))
        page.wait_for_function("() => window.spprof")
        pages.append(Page(page, requests, errors))
        pages[-1].settle()
        return pages[-1]

    yield opened
    for page in pages:
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in page.requests if url.startswith("file:")]) == 1
    for context in contexts:
        context.close()


def test_boxes_are_the_profile(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    merged = {
        ("all", 0): 51, ("main", 1): 31, ("run", 1): 15, ("[dropped]", 1): 3, ("[unsampled]", 1): 2, ("load", 2): 30,
        ("parse", 3): 26, ("fib", 2): 15, ("fib", 3): 15, ("fib", 4): 9,
    }  # fmt: skip
    assert page.boxes() == merged
    assert "51.0 ms of CPU time in 2 threads" in page.page.inner_text("header")
    assert "dropped (2 samples lost)" in page.page.inner_text(".losses")
    page.page.mouse.move(*page.middle_of("fib", 2))
    page.settle()
    tip = page.page.inner_text(".tip").split("\n")
    assert tip[0] == "fib" and tip[2:] == [
        "15.0 ms (29.4 %), 2 samples", "self 0 ns (0.0 %)", "function in all: self 15.0 ms, total 15.0 ms",
    ]  # fmt: skip
    # Icicle and flame: the same boxes, the root below.
    page.press("r")
    assert page.boxes() == merged
    height = page("() => spprof.flame.canvas.clientHeight")
    assert page("(y) => spprof.name(spprof.flame.boxAt(5, y).key)", height - 5) == "all"
    assert page("() => spprof.flame.boxAt(5, 5)") is None


def test_threads(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    page.page.get_by_label("Thread", exact=True).select_option("worker")
    assert page.boxes() == {("all", 0): 15, ("run", 1): 15, ("fib", 2): 15, ("fib", 3): 15, ("fib", 4): 9}
    assert page.page.inner_text("footer").startswith("15.0 ms of 51.0 ms (29.4 %) in 2 samples")
    page.page.get_by_label("Thread", exact=True).select_option("all, side by side")
    boxes = page.boxes()
    assert (boxes["MainThread", 1], boxes["worker", 1], boxes["run", 2], boxes["[dropped]", 2]) == (36, 15, 15, 3)
    page.press("t")  # the next one: the first thread alone
    assert page.boxes()["all", 0] == 36


def test_order_of_time(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    page.press("o")
    page.settle()
    boxes = page(BOXES)
    rows = [(name, start, width) for name, depth, start, width in boxes if depth == 4]
    # parse 21 ms, then the dropped 3, load itself 4, main itself 1, parse again.
    assert rows[:2] == [("parse", 0, 21), ("parse", 29, 5)]
    assert [(name, width) for name, depth, _, width in boxes if depth == 1] == [("MainThread", 36), ("worker", 15)]
    assert sum(width for _, depth, _, width in boxes if depth == 2) == 51
    page.page.mouse.move(*page.middle_of("load", 3))
    page.settle()
    tip = page.page.inner_text(".tip").split("\n")
    assert tip[2:4] == ["21.0 ms (41.2 %), 2 samples", "from 0.010 s to 0.020 s"]


def test_zoom_pan_and_keys(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    page.page.mouse.click(*page.middle_of("run", 1))
    page.page.wait_for_function("() => Math.abs(spprof.flame.window[1] - spprof.flame.window[0] - 15 / 51) < 1e-9")
    assert {name for name, _ in page.boxes()} == {"all", "run", "fib"}
    assert page.page.inner_text("footer .chosen strong") == "run"
    page.page.wait_for_function("() => location.hash.includes('zoom=')")
    page.press("Backspace")
    page.page.wait_for_function("() => spprof.flame.window[1] - spprof.flame.window[0] === 1")
    page.press("ArrowDown", "ArrowDown")
    assert page("() => [spprof.name(spprof.flame.selected.key), spprof.flame.selected.depth]") == ["fib", 3]
    page.press("ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown")
    assert page("() => spprof.name(spprof.flame.selected.key)") == "main"
    page.press("ArrowRight")
    assert page("() => spprof.name(spprof.flame.selected.key)") == "run"
    page.press("w", "d")
    before = page("() => spprof.flame.window")
    assert 0 < before[0] < before[1] <= 1
    page.press("?")
    assert page("() => document.querySelector('dialog').open") is True
    page.press("Escape")
    assert page("() => document.querySelector('dialog').open") is False


def test_search(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    page.press("/")
    page.page.keyboard.type("^(PARSE|fib)$".lower())
    page.settle()
    assert page.page.inner_text(".result") == "2 functions, 80.4 %"  # 26 + 15 of 51
    page.press("Enter", "2")
    assert sorted(row[2] for row in page.table()) == ["fib", "parse"]
    page.page.fill("input", "(")
    page.settle()
    assert page.page.inner_text(".result") == "not an expression"
    page.page.fill("input", "Parse")  # a capital: exact
    page.settle()
    assert page.page.inner_text(".result") == "0 functions, 0.0 %"


def test_table_sorts(open_report: Callable[..., Page]) -> None:
    profile = example()
    page = open_report(profile, "view=functions")
    rows = page.table()
    assert [row[2] for row in rows] == ["parse", "fib", "load", "[dropped]", "[unsampled]", "main", "run"]
    assert rows[0][4].startswith("src/p.py:")

    def shown(ns: int) -> str:
        return f"{ns / 1e6:.{2 if ns < 10 * MS else 1}f} ms{100 * ns / (51 * MS):.1f} %" if ns else "\u2013"

    sums = {f.function_name: [shown(f.self_ns), shown(f.total_ns)] for f in profile.functions()}
    assert {row[2]: row[:2] for row in rows if row[2] in sums} == sums
    page.page.get_by_role("columnheader", name="Total").get_by_role("button").click()
    assert [row[2] for row in page.table()] == ["main", "load", "parse", "run", "fib", "[dropped]", "[unsampled]"]
    page.page.get_by_role("columnheader", name="Function").get_by_role("button").click()
    names = [row[2] for row in page.table()]
    assert names == sorted(names)
    page.page.get_by_role("columnheader", name="Function").get_by_role("button").click()
    assert [row[2] for row in page.table()] == names[::-1]


def test_callers_and_callees(open_report: Callable[..., Page]) -> None:
    page = open_report(example())
    page("() => spprof.update({ tab: 'callers', func: spprof.profile.functions.find(f => f.name === 'load').id })")
    page.settle()
    shown = """(which) => { const tree = spprof.sandwich.trees[which];
      return [...tree.key].map((key, node) => [spprof.name(key), tree.depth[node], tree.total[node] / 1e6]).slice(1); }"""
    assert page(shown, "callers") == [["load", 1, 30], ["main", 2, 30]]
    assert page(shown, "callees") == [["load", 1, 30], ["parse", 2, 26]]
    assert "total 30.0 ms (58.8 %)" in page.page.inner_text(".middle")
    assert "86.7 %" in page.page.inner_text("[aria-label='Direct callees']")
    page.page.click("[aria-label='Direct callees'] button")
    page.settle()
    assert page.page.inner_text(".middle strong") == "parse"
    # Recursion counts once, at its outermost call.
    page("() => spprof.update({ func: spprof.profile.functions.find(f => f.name === 'fib').id })")
    page.settle()
    assert page(shown, "callers") == [["fib", 1, 15], ["run", 2, 15]]
    assert page(shown, "callees") == [["fib", 1, 15], ["fib", 2, 15], ["fib", 3, 9]]


def test_range_of_time(open_report: Callable[..., Page]) -> None:
    page = open_report(example())  # samples at 10, 20, ... 70 ms
    canvas = page.page.query_selector(".lanes canvas").bounding_box()
    gutter = page("() => spprof.timeline.gutter")
    scale = (canvas["width"] - gutter) / 80
    page.page.mouse.move(canvas["x"] + gutter + 35 * scale, canvas["y"] + 30)
    page.page.mouse.down()
    page.page.mouse.move(canvas["x"] + gutter + 45 * scale, canvas["y"] + 30)
    page.page.mouse.move(canvas["x"] + gutter + 55 * scale, canvas["y"] + 30)
    page.page.mouse.up()
    assert page.boxes() == {("all", 0): 10, ("run", 1): 6, ("fib", 2): 6, ("fib", 3): 6, ("main", 1): 4, ("load", 2): 4}
    assert "10.0 ms of 51.0 ms (19.6 %) in 2 samples" in page.page.inner_text("footer")
    page.page.wait_for_function("() => location.hash.includes('time=')")
    again = open_report(example(), page.page.url.partition("#")[2])
    assert again.boxes() == page.boxes()
    page.press("Escape")
    assert page.boxes()["all", 0] == 51


def test_modules(open_report: Callable[..., Page]) -> None:
    raw = raw_profile([(0, ("app", "lib", "app2"), 4 * MS), (0, ("app", "lib"), 2 * MS), (0, ("other",), MS)])
    raw["frames"] = [
        (name, f"/src/{name}.py", 1, None, None, None, False, 1) for name in ("app", "lib", "app2", "other")
    ]
    profile = profile_from(raw)
    tree = profile._tree
    modules = {"app": "app", "app2": "app.sub", "lib": "lib.core", "other": "application"}
    tree.frames = tuple([f._replace(module=modules.get(f.function_name, "")) for f in tree.frames])
    page = open_report(profile)
    entry = page.page.locator("[data-module=lib]")
    entry.get_by_role("button", name="hide").click()
    assert page.boxes() == {("all", 0): 7, ("app", 1): 6, ("app2", 2): 4, ("other", 1): 1}
    entry.get_by_role("button", name="hide").click()
    page.page.locator("[data-module=app]").get_by_role("button", name="focus").click()
    assert page.boxes() == {("all", 0): 6, ("app", 1): 6, ("lib", 2): 6, ("app2", 3): 4}  # not "application"
    page.page.get_by_role("button", name="show all").click()
    assert page.boxes()["all", 0] == 7
    page.page.locator("[data-module=app] .more").click()
    page.page.locator("[data-module='app.sub']").get_by_role("button", name="hide").click()
    assert page.boxes() == {("all", 0): 7, ("app", 1): 6, ("lib", 2): 6, ("other", 1): 1}


def test_libraries_are_modules_as_a_whole(open_report: Callable[..., Page]) -> None:
    raw = raw_profile([(0, ("app", "c1"), 4 * MS), (0, ("app", "c2"), 2 * MS)])
    raw["frames"] = [("app", "/a.py", 1, None, None, None, False, 1)]
    raw["frames"] += [(name, "/src/x.c", 1, None, None, None, True, 0) for name in ("c1", "c2")]
    profile = profile_from(raw)
    modules = {"app": "lib", "c1": "lib.so.1", "c2": "lib.so.2"}
    profile._tree.frames = tuple([f._replace(module=modules.get(f.function_name, "")) for f in profile._tree.frames])
    page = open_report(profile, "colour=kind")
    assert page.page.locator(".legend li").all_inner_texts() == ["Python", "native", "marks, losses"]
    assert page.page.locator(".entry .label").all_inner_texts() == ["lib.so.1", "lib.so.2", "[marks]", "lib"]
    page.page.locator("[data-module='lib.so.2']").get_by_role("button", name="hide").click()
    assert page.boxes() == {("all", 0): 6, ("app", 1): 6, ("c1", 2): 4}
    page.page.get_by_role("button", name="show all").click()
    page.page.locator("[data-module=lib]").get_by_role("button", name="hide").click()
    assert page.boxes() == {("all", 0): 6, ("c1", 1): 4, ("c2", 1): 2}


def test_states_and_measure(open_report: Callable[..., Page]) -> None:
    page = open_report(elapsed(), "colour=state")
    legend = page.page.locator(".legend li").all_inner_texts()
    assert legend == ["running", "sleeping: I/O", "sleeping: sleep"]
    colours = page(
        "() => Object.fromEntries(spprof.flame.shown.map(b => [spprof.name(b.key), spprof.colours.fill(b)]))"
    )
    swatches = page(
        "() => [...document.querySelectorAll('.legend .swatch')].map(s => s.style.background.match(/\\d+/g)"
        ".map(n => (+n).toString(16).padStart(2, '0')).join(''))"
    )
    assert colours["coro"] == "#" + swatches[1] and colours["main"] == colours["wait"] == "#" + swatches[2]
    page.page.get_by_label("Measure", exact=True).select_option("CPU time")
    assert page.boxes() == {("all", 0): 5, ("main", 1): 5, ("wait", 2): 1}


def test_source_lines(open_report: Callable[..., Page], tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text("def f(x):\n    y = x + 1\n    return '</script><img src=x onerror=alert(1)>'\n", encoding="utf-8")
    raw = raw_profile([(0, ("f:2",), 4 * MS), (0, ("f:3",), MS), (0, ("g:7",), MS)])
    raw["frames"] = [
        ("f", str(path), 2, None, None, None, False, 1), ("f", str(path), 3, None, None, None, False, 1),
        ("g", "/gone.py", 7, None, None, None, False, 5),
    ]  # fmt: skip
    page = open_report(profile_from(raw))
    page.page.mouse.dblclick(*page.middle_of("f", 1))
    page.settle()
    lines = [text.split("\n") for text in page.page.locator(".line:not(.head)").all_inner_texts()]
    found = [[part for part in (piece.strip() for piece in line) if part] for line in lines]
    assert found == [
        ["1", "def f(x):"], ["4.00 ms", "4.00 ms", "2", "y = x + 1"],
        ["1.00 ms", "1.00 ms", "3", "return '</script><img src=x onerror=alert(1)>'"],
    ]  # fmt: skip
    heat = page(
        "() => [1, 2, 3].map(n => +document.querySelector(`[data-line='${n}']`).style.getPropertyValue('--heat'))"
    )
    assert heat[0] == 0 < heat[2] < heat[1]
    page("() => spprof.update({ func: spprof.profile.functions.find(f => f.name === 'g').id })")
    page.settle()
    why = "No source text: the file could not be read when the report was written: No such file"
    assert why in page.page.inner_text(".warning")
    assert page.page.locator(".line").all_inner_texts()[0].split() == ["1.00", "ms", "1.00", "ms", "7", "16.7", "%"]


def test_names_from_elsewhere_are_inert(open_report: Callable[..., Page]) -> None:
    nasty = "</script><img src=x onerror=\"document.title='bad'\"><!--"
    raw = raw_profile([(0, ("f",), MS)], threads=(nasty,))
    raw["frames"] = [(nasty, f"/{nasty}.py", 1, None, None, None, False, 1)]
    profile = profile_from(raw)
    profile._facts.program = nasty
    page = open_report(profile)
    for key in ("1", "2", "3", "4"):
        page.press(key)
    page("() => spprof.update({ func: 0, tab: 'source' })")
    page.settle()
    assert page.page.locator("img").count() == 0
    assert page.page.inner_text("h1") == nasty
    assert page.page.title() == f"{nasty} \u00b7 spprof"
    # Not even a script that got in would run, nor could it reach anyone.
    page.errors.clear()
    refused = page(
        """() => new Promise(done => {
          document.addEventListener('securitypolicyviolation', event => done(event.violatedDirective));
          const script = document.createElement('script');
          script.textContent = 'window.bad = 1';
          document.head.append(script); })"""
    )
    assert refused.startswith("script-src") and page("() => window.bad") is None
    assert page("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert all(
        "Content Security Policy" in error or "violates" in error or "127.0.0.1" in error for error in page.errors
    )
    page.errors.clear()
    page.requests[:] = [url for url in page.requests if not url.startswith("http://127.0.0.1:9/")]


@pytest.mark.parametrize(
    "hash",
    ["view=nonsense&thread=99&time=9-1&zoom=a-b&function=-5&colour=state&sort=up.constructor", "%%%&=&==",
     "search=%5B&focus=nobody&hide=%00", "zoom=0.5-0.50000001&time=0-1e9&thread=each&order=time"],
)  # fmt: skip
def test_odd_links_do_no_harm(open_report: Callable[..., Page], hash: str) -> None:
    page = open_report(example(), hash)
    for key in ("1", "2", "3", "4", "1", "Escape", "Escape", "Escape", "Escape"):
        page.press(key)
    assert page.page.inner_text("h1")


def test_profiles_of_odd_kinds(open_report: Callable[..., Page]) -> None:
    for profile in (
        make_profile([]),
        example().aggregate(),
        make_profile([(0, (), MS)]),
        make_profile([(0, ("a",) * 1024, MS)]),
    ):
        page = open_report(profile)
        for key in ("1", "o", "2", "3", "4", "1"):
            page.press(key)
    many = [f"thread {n}" for n in range(300)]
    page = open_report(make_profile([(n, ("f",), (n + 1) * MS) for n in range(300)], threads=many), "thread=each")
    assert page.boxes()["thread 299", 1] == 300
    assert "the 200 busiest threads" in page.page.inner_text(".caption")
    page.page.click(".lanes canvas", position={"x": 20, "y": 30})  # the first that is shown
    assert page.boxes() == {("all", 0): 101, ("f", 1): 101}
    page = open_report(example().aggregate())
    assert page.boxes()["all", 0] == 51 and page.page.locator(".timeline").count() == 0


def test_dark_and_light(open_report: Callable[..., Page]) -> None:
    for scheme in ("light", "dark"):
        page = open_report(example(), color_scheme=scheme)
        background = page("() => getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is (scheme == "light")
        page.press("l")
        assert page("() => getComputedStyle(document.body).backgroundColor") != background


def test_many_samples_open_and_move(open_report: Callable[..., Page]) -> None:
    import random

    pick = random.Random(3)
    names = [f"f{n}:{n % 40}" for n in range(400)]
    stacks = [tuple(pick.choices(names, k=pick.randrange(3, 12))) for _ in range(20_000)]
    rows = [(i % 4, stacks[pick.randrange(len(stacks))], 10 * MS) for i in range(200_000)]
    page = open_report(make_profile(rows, threads=("a", "b", "c", "d")))
    assert page("() => spprof.view.tree.total[0]") == 200_000 * 10 * MS
    for order in ("weight", "time"):
        page("(order) => spprof.update({ order })", order)
        page.settle()
        times = page(
            """async () => { const { flame } = spprof, times = [];
              for (let i = 0; i < 30; i++) {
                flame.window = [0.3 + i / 1000, 0.5 + i / 1000];
                flame.drawNow();
                times.push(flame.drawing.ms);
              }
              return times.sort((a, b) => a - b); }"""
        )
        assert times[15] < 150  # 16 is what 60 frames a second leave; the rest is for busy machines
