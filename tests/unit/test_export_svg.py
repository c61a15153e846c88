"""The flame graph picture: its boxes are measured."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from profiles import MS, example, make_profile

from spprof.export._drawing import MARGIN, ROW, WIDTH, time_text
from spprof.export.svg import render

INNER = WIDTH - 2 * MARGIN
SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    title: str
    x: float
    y: float
    width: float
    fill: str

    @property
    def name(self) -> str:
        return self.title.partition("\n")[0]


def picture(profile: object) -> ET.Element:
    return ET.fromstring("".join(render(profile)).encode("utf-8", "backslashreplace"))  # type: ignore[arg-type]


def boxes(profile: object) -> list[Box]:
    found = []
    for group in picture(profile).iter(SVG + "g"):
        title, rect = group.find(SVG + "title"), group.find(SVG + "rect")
        assert title is not None
        assert rect is not None
        get = rect.attrib.__getitem__
        found.append(Box(title.text or "", float(get("x")), float(get("y")), float(get("width")), get("fill")))
    return found


def widths(found: list[Box]) -> dict[tuple[str, int], float]:
    top = min(box.y for box in found)
    result: dict[tuple[str, int], float] = {}
    for box in found:
        key = (box.name, round((box.y - top) / ROW))
        result[key] = result.get(key, 0) + box.width
    return result


def test_widths_are_shares() -> None:
    found = widths(boxes(example()))
    share = {key: round(51 * width / INNER, 1) for key, width in found.items()}
    assert share == {
        ("all", 0): 51, ("MainThread", 1): 36, ("worker", 1): 15, ("[dropped]", 2): 3, ("[unsampled]", 2): 2,
        ("main", 2): 31, ("load", 3): 30, ("parse", 4): 26, ("run", 2): 15, ("fib", 3): 15, ("fib", 4): 15,
        ("fib", 5): 9,
    }  # fmt: skip


def test_children_lie_within_their_parents_and_not_on_each_other() -> None:
    found = boxes(example())
    by_row: dict[float, list[Box]] = {}
    for box in found:
        by_row.setdefault(box.y, []).append(box)
    for y, row in by_row.items():
        row.sort(key=lambda box: box.x)
        for left, right in zip(row, row[1:]):
            assert left.x + left.width <= right.x + 0.02
        for box in row:
            above = by_row.get(y - ROW, [])
            assert not above or any(
                parent.x - 0.02 <= box.x and box.x + box.width <= parent.x + parent.width + 0.02 for parent in above
            )


def test_tooltips_and_header() -> None:
    titles = {box.name: box.title for box in boxes(example())}
    assert titles["parse"].splitlines()[1].startswith("/src/p.py:")
    assert "51.0 % of all, 26.0 ms, 3 samples" in titles["parse"]
    assert "2.0 % itself, 1.00 ms" in titles["main"]
    text = " ".join(element.text or "" for element in picture(example()).iter(SVG + "text"))
    for part in ("51.0 ms of CPU time", "7 samples, one every 10 ms", "2 threads", "5.9 % dropped", "3.9 % unsampled"):
        assert part in text


def test_small_boxes_are_merged_and_nothing_is_lost() -> None:
    rows = [(0, ("root", "big"), 1_000_000)] + [(0, ("root", f"tiny{index}"), 100) for index in range(1000)]
    found = boxes(make_profile(rows))
    assert not [box for box in found if box.name.startswith("tiny")]
    (rest,) = [box for box in found if box.name == "(1000 small)"]
    (big,) = [box for box in found if box.name == "big"]
    (root,) = [box for box in found if box.name == "root"]
    assert rest.width + big.width == pytest.approx(root.width, abs=0.05)
    assert "9.1 % of all" in rest.title
    assert len(found) == 5


def test_names_are_escaped() -> None:
    name = '<a & "b"> ]]>\x00\udcff\ufffe'
    (box,) = [box for box in boxes(make_profile([(0, (name,), 1)], threads=("<t&>",))) if box.y > 120]
    assert box.name == '<a & "b"> ]]>\ufffd\ufffd\ufffd'


def test_colours_are_by_package_and_marks_are_grey() -> None:
    found = {box.name: box.fill for box in boxes(example())}
    assert found["[dropped]"] == found["[unsampled]"] == "#d4d4d4"
    for fill in found.values():
        assert re.fullmatch("#[0-9a-f]{6}", fill)


def test_same_profile_same_picture_whatever_the_thread_ids() -> None:
    assert "".join(render(example(first_id=1))) == "".join(render(example(first_id=77)))
    assert "".join(render(example())) == "".join(render(example().aggregate()))
    assert "".join(render(example())) == "".join(render(example(merge_nodes=False)))


def test_empty_and_deep() -> None:
    root = picture(make_profile([]))
    assert "No samples." in [element.text for element in root.iter(SVG + "text")]
    deep = picture(make_profile([(0, ["f"] * 3000, 5)]))
    assert float(deep.attrib["height"]) > 3000 * ROW


def test_self_contained() -> None:
    text = "".join(render(example()))
    assert "<script" not in text
    assert "href" not in text
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1500, "1.50 \u00b5s"), (12 * MS, "12.0 ms"), (123_456_789_000, "123 s")],
)
def test_times(ns: int, text: str) -> None:
    assert time_text(ns) == text
