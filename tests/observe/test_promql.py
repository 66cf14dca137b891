"""Queries are built from fixed names and quoted values only."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.errors import IntentError
from mfu.observe.promql import Across, Figure, Kind, expression, pack, quote, selector
from mfu.observe.telemetry import TrainingCounters


def unquoted(literal: str) -> str:
    """Reads a PromQL string literal back, as the Go lexer does."""
    assert literal[0] == '"' and literal[-1] == '"'
    found, escaped = "", False
    for character in literal[1:-1]:
        assert character != "\n"
        if escaped:
            found, escaped = found + {"n": "\n", "r": "\r"}.get(character, character), False
        elif character == "\\":
            escaped = True
        else:
            assert character != '"', "the literal ends before its end"
            found += character
    assert not escaped
    return found


@given(st.text())
def test_a_quoted_value_is_read_back_as_it_was_whatever_it_holds(value: str) -> None:
    assert unquoted(quote(value)) == value


def test_a_hostile_label_value_stays_inside_its_quotes() -> None:
    assert selector("up", namespace='x"} or up{a="') == 'up{namespace="x\\"} or up{a=\\""}'


@pytest.mark.parametrize(
    "name",
    ["up or up", "rate(x[5m])", 'a{b="c"}', "", "1abc", "a" * 129, "tokens\n", "ä_total", "a-b"],
)
def test_only_a_metric_name_can_be_declared(name: str) -> None:
    with pytest.raises(IntentError, match=r"spec\.telemetry\.training\.tokensMetric.*no metric name"):
        TrainingCounters(tokens_metric=name)


def test_a_steps_metric_is_checked_too() -> None:
    with pytest.raises(IntentError, match="stepsMetric"):
        TrainingCounters(tokens_metric="tokens_total", steps_metric="steps or vector(1)")


def test_duplicates_are_dropped_before_anything_is_summed() -> None:
    figure = Figure(name="generation", selectors=("tokens_total",), kind=Kind.RATE)
    text = expression(figure, group=("namespace", "pod"), identity=("namespace", "pod", "engine"), window_seconds=120)
    assert text == (
        'label_replace(sum by (namespace,pod) (max by (namespace,pod,engine) (rate(tokens_total[120s]))),"figure","generation","","")'
    )


def test_names_are_tried_in_their_order() -> None:
    figure = Figure(name="usage", selectors=("new", "old"), kind=Kind.MEAN, across=Across.MAX)
    text = expression(figure, group=("pod",), identity=("pod",), window_seconds=60)
    assert text.index("avg_over_time(new[60s])") < text.index(" or ") < text.index("avg_over_time(old[60s])")


@given(st.lists(st.from_regex(r"[a-z]{1,1500}", fullmatch=True), max_size=20))
def test_packing_keeps_every_expression_and_every_query_short(expressions: list[str]) -> None:
    packed = pack(expressions)
    assert [part for query in packed for part in re.split(r" or on \(figure\) ", query)] == expressions
    assert all(len(query) <= 3500 for query in packed)


def test_no_more_expressions_are_joined_than_asked_for() -> None:
    assert pack(["a", "b", "c"], at_most=2) == ("a or on (figure) b", "c")
