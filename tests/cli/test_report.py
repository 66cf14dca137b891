"""`mfu report`: the page says what the objects say, stands alone, and can be read without seeing it."""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mfu.__main__ import main
from mfu.cli.page import MOST_PANELS, page
from mfu.cli.page_rows import amount, gap_by_cause, ratio, rows
from mfu.cli.page_style import STYLE
from tests.cli.fleet_objects import FLEET, REPORT, WORKLOADS

VOID = {"meta", "link", "br", "img", "input", "hr"}
CLOSED_BY_SLASH = {"rect", "line", "circle", "path", "polyline"}


class Read(HTMLParser):
    """Every element with its attributes and its own text, and whether all tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, [self.elements[index][0] for index in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in CLOSED_BY_SLASH
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self.elements[self._open.pop()][0] == tag, tag

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def all(self, *tags: str) -> list[tuple[dict[str, str], str]]:
        return [(attributes, "".join(words)) for tag, attributes, words in self.elements if tag in tags]


def written(tmp_path: Path, *arguments: str, objects: Any = FLEET) -> str:
    source, target = tmp_path / "objects.json", tmp_path / "out.html"
    source.write_text(json.dumps(objects))
    assert main(["report", "--from", str(source), "--html", str(target), *arguments]) == 0
    return target.read_text()


def texts_of(value: object) -> Iterator[str]:
    match value:
        case dict():
            for item in value.values():
                yield from texts_of(item)
        case list():
            for item in value:
                yield from texts_of(item)
        case _:
            yield str(value)


def test_every_figure_of_the_objects_is_on_the_page_as_it_is_written_there(tmp_path: Path) -> None:
    words = Read(written(tmp_path)).all("body")[0][1]
    figures = {
        text for text in texts_of({"report": REPORT, "workloads": [body["status"] for body in WORKLOADS]}) if re.search(r"\d.*%$|^\$", text)
    }
    hidden = {WORKLOADS[0]["status"]["expected"]["roofline"], WORKLOADS[1]["status"]["expected"]["roofline"]}
    assert len(figures) > 25
    assert {figure for figure in figures - hidden if figure not in words} == set()
    for count in (64, 24, 20, 11):
        assert str(count) in words


def test_the_page_is_well_formed_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    read = Read(written(tmp_path))
    identifiers = [attributes["id"] for _, attributes, _ in read.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    links = [attributes["href"] for attributes, _ in read.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(identifiers)
    assert {"#tenant-research", "#workload-research-slow"} <= set(links)
    for _, attributes, _ in read.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(identifiers)


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    text = written(tmp_path)
    read = Read(text)
    assert read.all("script", "link", "img", "iframe", "object", "embed", "base", "form") == []
    assert not any(
        name in {"src", "srcset", "style", "xlink:href"} or name.startswith("on") for _, given, _ in read.elements for name in given
    )
    assert "@import" not in text and not re.search(r"url\((?!#)", text) and "://" not in text
    (policy,) = [given["content"] for given, _ in read.all("meta") if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_the_page_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    read = Read(written(tmp_path))
    assert [given.get("lang") for given, _ in read.all("html")] == ["en"]
    levels = [int(tag[1]) for tag, _, _ in read.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(read.all("table")) == len([text for _, text in read.all("caption") if text])
    assert all(given.get("scope") in {"col", "row"} for given, _ in read.all("th"))
    drawings = read.all("svg")
    assert len(drawings) == len([text for _, text in read.all("desc") if text]) == 5
    assert all(given["role"] == "img" for given, _ in drawings)
    descriptions = " ".join(text for _, text in read.all("desc"))
    for said in ("research/slow", "Busy (utilisation): 88.4%", "Communication: −$16.80/h", "observed 10.2%"):
        assert said in descriptions


def test_text_and_marks_stand_out_from_their_ground() -> None:
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", STYLE))
    for name in ("ink", "soft", "bad"):
        for ground in ("ground", "panel"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, name
    for mark in ("#1f5fa8", "#b3470f", "#5f6b7a", "#a3182b"):
        assert _contrast(mark, colours["ground"]) >= 3.0


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_texts_of_a_tenant_cannot_become_markup(tmp_path: Path) -> None:
    hostile = copy.deepcopy(FLEET)
    hostile["items"][0]["status"]["summary"] = '<script>alert("x")</script>'
    hostile["items"][0]["metadata"]["name"] = 'x"onload="y'
    read = Read(written(tmp_path, objects=hostile))
    assert read.all("script", "b") == []
    assert '<script>alert("x")</script>' in read.all("body")[0][1]


def test_the_gap_is_split_by_cause_and_adds_up() -> None:
    split = gap_by_cause(rows(WORKLOADS), 33.10)
    assert split == pytest.approx({"Communication": 16.8, "SmallBatch": 4.8, "Unexplained": 11.5})
    assert list(split) == ["Communication", "Unexplained", "SmallBatch"]
    assert sum(gap_by_cause(rows(WORKLOADS), 10.0).values()) == pytest.approx(10.0)


def test_a_split_that_the_operator_made_is_taken_as_it_is(tmp_path: Path) -> None:
    stated = copy.deepcopy(FLEET)
    stated["items"][-1]["status"]["byCause"] = [{"cause": "Topology", "perHour": "$30.00"}, {"cause": "Throttling", "perHour": "$3.10"}]
    words = Read(written(tmp_path, objects=stated)).all("body")[0][1]
    assert "Topology: −$30.00/h" in words and "Throttling: −$3.10/h" in words
    assert "Communication: −" not in words


def test_without_prices_the_money_is_unknown_and_not_zero(tmp_path: Path) -> None:
    free = copy.deepcopy(FLEET)
    for key in ("costPerHour", "gapPerHour"):
        del free["items"][-1]["status"][key]
    words = Read(written(tmp_path, objects=free)).all("body")[0][1]
    assert "no accelerator has a price" in words
    assert "$0" not in words.replace("$0.42", "")


@pytest.mark.parametrize(
    "report",
    [{}, {"accelerators": {"total": 0, "allocated": 0, "declared": 0, "productive": 0}}, {"accelerators": {"total": 8}, "mfu": {}}],
    ids=["no report yet", "zero GPUs", "nothing observed"],
)
def test_a_fleet_of_which_nothing_is_known_has_a_page_too(report: dict[str, Any]) -> None:
    words = Read(page([], report=report)).all("body")[0][1]
    assert "No ModelWorkload is declared" in words
    assert "nan" not in words.lower()


def test_a_tenants_page_says_nothing_of_the_others(tmp_path: Path) -> None:
    text = written(tmp_path, "--namespace", "serving")
    assert "chat" in text and "$9.10" in text
    for foreign in ("research", "slow", "$24.00", "$61.80", "$33.10", "node-7", "21.7%"):
        assert foreign not in text


def test_a_page_of_thousands_of_workloads_stays_bounded() -> None:
    many = []
    for number in range(3000):
        body = copy.deepcopy(WORKLOADS[1])
        body["metadata"]["name"] = f"chat-{number}"
        many.append(body)
    text = page(many, report=REPORT)
    read = Read(text)
    assert len(read.all("article")) == MOST_PANELS
    assert f"The {MOST_PANELS} of 3000 that lose most" in text
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    ("text", "known"),
    [("43.1%", 0.431), ("+5.0%", 0.05), ("-27.6%", -0.276), ("unknown", None), ("", None), ("$3", None), ("%", None)],
)
def test_percentages_are_read_and_nothing_else(text: str, known: float | None) -> None:
    assert ratio(text) == (None if known is None else pytest.approx(known))


@pytest.mark.parametrize(
    ("text", "known"), [("$1,204", 1204.0), ("$0.0012", 0.0012), ("-$3.50", -3.5), ("EUR 7.25", 7.25), ("unknown", None), ("", None)]
)
def test_money_is_read_in_any_currency(text: str, known: float | None) -> None:
    assert amount(text) == known


def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}')
    for arguments in (["--from", str(other), "--html", "-"], ["--from", str(tmp_path / "none"), "--html", "-"]):
        assert main(["report", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("mfu: ") and str(tmp_path) in line
    source = tmp_path / "objects.json"
    source.write_text(json.dumps(FLEET))
    assert main(["report", "--from", str(source), "--html", str(tmp_path / "none" / "out.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
