"""Collectives: bandwidth of the slowest part, latency, and what crosses the network."""

import pytest

from mfu.estimate.collectives import (
    Group,
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    transfer_seconds,
)

LINKS = Links(link_bytes_per_second=400e9, network_bytes_per_second=40e9, domain=8, latency_seconds=0.0)


def test_a_group_of_one_costs_nothing() -> None:
    alone = Group(size=1)
    assert all_gather_seconds(1e9, alone, LINKS) == 0
    assert all_reduce_seconds(1e9, alone, LINKS) == 0
    assert all_to_all_seconds(1e9, alone, LINKS) == 0


def test_an_all_reduce_inside_a_domain_moves_twice_the_ring_share_over_the_links() -> None:
    assert all_reduce_seconds(8e9, Group(size=8), LINKS) == pytest.approx(2 * 7 / 8 * 8e9 / 400e9)


@pytest.mark.parametrize(
    ("group", "bytes_per_second"),
    [
        pytest.param(Group(size=8), 400e9, id="one domain: the links"),
        pytest.param(Group(size=16), 320e9, id="whole domains: every network port"),
        pytest.param(Group(size=16, stride=8), 40e9, id="one rank a domain: one port"),
        pytest.param(Group(size=16, stride=4), 80e9, id="two ranks a domain: two ports"),
    ],
)
def test_a_ring_uses_the_ports_of_the_ranks_it_has_in_a_domain(group: Group, bytes_per_second: float) -> None:
    share = (group.size - 1) / group.size
    assert all_gather_seconds(1e9, group, LINKS) == pytest.approx(share * 1e9 / bytes_per_second)


def test_copies_of_a_token_for_one_domain_cross_the_network_once() -> None:
    group = Group(size=16)
    once = all_to_all_seconds(1e9, group, LINKS, copies=1)
    eightfold = all_to_all_seconds(1e9, group, LINKS, copies=8)
    assert once == pytest.approx(1e9 * 0.5 / 40e9)
    assert eightfold == pytest.approx(once * 2 * (1 - 0.5**8) / 8)


def test_a_transfer_across_domains_uses_the_network() -> None:
    assert transfer_seconds(1e9, True, LINKS) == pytest.approx(1e9 / 40e9)
    assert transfer_seconds(1e9, False, LINKS) == pytest.approx(1e9 / 400e9)
