"""The worked example of docs/provider.md: the figures that the page gives are those that the roll-up gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mfu.estimate.result import Estimate
from mfu.judge.assessment import Cause
from mfu.judge.fleet import Fleet, Member
from mfu.judge.money import money_text
from mfu.judge.money_bills import bill_of
from mfu.judge.money_margin import margin
from mfu.judge.money_units import unit_prices
from mfu.judge.prices import PriceLine, PriceList
from mfu.judge.rollup import roll_up
from mfu.missing import Missing, Reason
from tests.judge.cases import estimate, fabric, training, unknown
from tests.judge.provider_cases import assessment, member

PAGE = (Path(__file__).parents[2] / "docs" / "provider.md").read_text(encoding="utf-8")
H100, A100 = "h100-sxm-80gb", "a100-sxm-80gb"
PRICES = PriceList(
    lines=(
        PriceLine(accelerator_class=H100, price_micros=2_500_000, cost_micros=1_600_000),
        PriceLine(accelerator_class=A100, price_micros=1_500_000),
    )
)


@dataclass(frozen=True)
class Row:
    name: str
    tenant: str
    kind: str
    nodes: tuple[tuple[str, int], ...]
    expected: Estimate
    seen: float | Missing
    causes: dict[Cause, float]

    def member(self) -> Member:
        count = sum(held for _, held in self.nodes)
        judged = assessment(
            workload=training(on=fabric(self.kind, count, price=None)),
            expected=self.expected,
            seen=self.seen,
            accelerators=count,
            causes=self.causes,
        )
        quoted = PRICES.quote(self.kind, self.tenant)
        return member(self.name, tenant=self.tenant, kind=self.kind, accelerators=count, nodes=self.nodes, quoted=quoted, of=judged)


ROWS = (
    Row("train", "research", H100, (("n1", 8), ("n2", 4)), estimate(0.4), 0.3, {Cause.COMMUNICATION: 0.6}),
    Row("chat", "web", A100, (("n3", 4),), estimate(0.2), 0.1, {Cause.LOW_DEMAND: 1.0}),
    Row("probe", "web", A100, (("n3", 2),), estimate(0.25), unknown(Reason.TELEMETRY_MISSING), {}),
)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return roll_up(
        [row.member() for row in ROWS],
        capacity={H100: 16, A100: 8},
        node_capacity={"n1": 8, "n2": 8, "n3": 8},
        class_quotes={name: PRICES.quote(name, "*") for name in (H100, A100)},
    )


def test_the_ratios_are_those_of_the_page(fleet: Fleet) -> None:
    whole = fleet.whole
    assert whole.observed_ratio == pytest.approx(3686.64 / 13120.8) and "**28.1 %**" in PAGE
    assert whole.expected_where_observed_ratio == pytest.approx(4998.72 / 13120.8) and "**38.1 %**" in PAGE
    assert whole.expected_ratio == pytest.approx(5154.72 / 13744.8) and "37.5 %" in PAGE
    assert whole.allocated_ratio == 0.75 and whole.unknown_ratio == pytest.approx(2 / 18)
    assert whole.accelerators.productive == pytest.approx(11.0) and "**11** accelerators" in PAGE


def test_the_money_is_that_of_the_page_to_the_cent(fleet: Fleet) -> None:
    money = fleet.whole.money
    assert isinstance(money.revenue_micros, int) and isinstance(money.gap_micros, int) and isinstance(money.idle_cost_micros, int)
    for micros, said in ((money.revenue_micros, "$39.00"), (money.gap_micros, "$10.50"), (money.idle_cost_micros, "$6.40")):
        assert money_text(micros) == said and f"**{said}**" in PAGE
    assert {str(amount.cause): money_text(amount.micros) for amount in money.by_cause} == {
        "Communication": "$4.50",
        "LowDemand": "$3.00",
        "Unexplained": "$3.00",
    }
    nodes = {group.name: (group.money.revenue_micros, group.money.gap_micros) for group in fleet.by_node}
    assert nodes == {"n1": (20_000_000, 5_000_000), "n2": (10_000_000, 2_500_000), "n3": (9_000_000, 3_000_000)}


def test_the_unit_prices_are_those_of_the_page(fleet: Fleet) -> None:
    train = ROWS[0].member()
    found = unit_prices(train.assessment, bill_of(train), unknown()).per_useful_petaflop
    assert isinstance(found.allocated, float) and isinstance(found.ideal, float)
    assert (f"{found.allocated:.5f}", f"{found.ideal:.5f}") == ("0.00234", "0.00175") and "**$0.00234**" in PAGE
    signal = margin(next(group for group in fleet.by_class if group.name == H100))
    assert signal.revenue_per_device_hour == 2.5 and signal.useful_petaflop_per_device_hour == pytest.approx(1068.55, abs=0.05)
