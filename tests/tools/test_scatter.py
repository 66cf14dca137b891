"""The plot of predicted against measured."""

from xml.etree import ElementTree

from tools.scatter import scatter

SVG = "{http://www.w3.org/2000/svg}"


def test_it_is_svg_with_a_dot_for_every_row_and_a_legend() -> None:
    text = scatter("Training <1>", "tokens/s", {"h100": [(10.0, 12.0), (200.0, 180.0)], "a100": [(5.0, 5.0)]})
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    labels = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    assert {"Training <1>", "h100 (2)", "a100 (1)", "measured, tokens/s", "predicted, tokens/s", "10", "1,000"} <= set(labels)
    dots = [each.get("d", "") for each in root.iter(f"{SVG}path") if each.get("stroke-linecap") == "round"]
    assert sum(dot.count("h0") for dot in dots) == 3
    assert "href" not in text


def test_a_right_prediction_lies_on_the_diagonal() -> None:
    root = ElementTree.fromstring(scatter("t", "u", {"g": [(37.0, 37.0)]}))
    (dot,) = [each.get("d", "") for each in root.iter(f"{SVG}path") if each.get("stroke-linecap") == "round"]
    across, up = (float(value) for value in dot.removesuffix("h0").removeprefix("M").split())
    assert abs((across - 76) - (48 + 460 - up)) < 0.2
