"""CPU time of rolling up 5,000 workloads on 5,000 nodes: what a tick costs at the largest fleet that is supported."""

from __future__ import annotations

import time

import pytest

from mfu.judge.assessment import Cause
from mfu.judge.fleet import Member
from mfu.judge.rollup import roll_up
from mfu.judge.systemic import findings
from tests.judge.provider_cases import assessment, member, quote

WORKLOADS = NODES = 5_000
MOST_SECONDS = 2.0
KINDS = ("h100-sxm-80gb", "a100-sxm-80gb", "h200-sxm-141gb", "l40s-48gb")


def fleet() -> list[Member]:
    judged = [
        assessment(seen=0.1 + 0.02 * step, causes={Cause.COMMUNICATION: 0.6, Cause.STRAGGLER: 0.2}, hardware=0.4, accelerators=8)
        for step in range(12)
    ]
    return [
        member(
            f"w{index}",
            tenant=f"tenant-{index % 200}",
            kind=KINDS[index % len(KINDS)],
            family=f"family-{index % 40}",
            nodes=((f"n{index}", 4), (f"n{(index + 1) % NODES}", 4)),
            quoted=quote(2_000_003 + index),
            of=judged[index % len(judged)],
        )
        for index in range(WORKLOADS)
    ]


@pytest.mark.benchmark
def test_the_roll_up_of_five_thousand_workloads(capsys: pytest.CaptureFixture[str]) -> None:
    members = fleet()
    capacity = dict.fromkeys(KINDS, 10_000)
    nodes = {f"n{index}": 8 for index in range(NODES)}
    roll_up(members[:100], capacity=capacity)
    before = time.process_time()
    found = roll_up(members, capacity=capacity, node_capacity=nodes)
    rolled = time.process_time()
    named = findings(members)
    ended = time.process_time()
    with capsys.disabled():
        ratio = (rolled - before) / MOST_SECONDS
        print(f"\nroll-up of {WORKLOADS} workloads on {NODES} nodes: {rolled - before:.2f} s CPU, {ratio:.2f} of the target")
        print(f"findings: {ended - rolled:.2f} s CPU")
    assert found.accelerators.allocated == 8 * WORKLOADS and len(named) <= 10
