"""MIG fragmentation: what is stranded, and a cut that serves what waits without touching what runs."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.hardware.catalog import accelerator
from mfu.judge.fragmentation import MigDevice, fragmentation, packed
from mfu.judge.fragmentation_slices import compute_slices, device_share, memory_slices
from mfu.missing import Missing, Reason

H100 = accelerator("h100-sxm-80gb")
NAME = "h100-sxm-80gb"
PROFILES = ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb")


def device(used: dict[str, int], free: dict[str, int], index: int = 0, price: int | Missing = 7_000_000) -> MigDevice:
    return MigDevice(node="n1", index=index, accelerator=H100, used=used, free=free, price_micros=price)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        pytest.param(NAME, Fraction(1), id="a whole device"),
        pytest.param(f"{NAME}/1g.10gb", Fraction(1, 7), id="a seventh"),
        pytest.param(f"{NAME}/1g.20gb", Fraction(1, 7), id="more memory, the same compute"),
        pytest.param(f"{NAME}/3g.40gb", Fraction(3, 7), id="three sevenths"),
        pytest.param(f"{NAME}/7g.80gb", Fraction(1), id="all of it"),
    ],
)
def test_a_slice_is_its_share_of_the_compute(name: str, share: Fraction) -> None:
    assert device_share(name, H100) == share


def test_equal_modes_and_time_slices_are_equal_parts() -> None:
    assert device_share("mi300x-192gb/cpx_nps1", accelerator("mi300x-192gb")) == Fraction(1, 8)
    assert device_share("a30-24gb/2g.12gb", accelerator("a30-24gb")) == Fraction(1, 2)
    assert device_share(NAME, H100, replicas=4) == Fraction(1, 4)


def test_slices_that_the_cut_leaves_over_are_stranded() -> None:
    # 4 × 1g.20gb use all the memory and four of seven compute slices: $3 of $7.
    found = fragmentation([device({"1g.20gb": 4}, {})], {})
    assert (found.stranded_compute_slices, found.stranded_micros_per_hour) == (3, 3_000_000)
    assert found.stranded[0].profiles == ()


def test_free_instances_are_stranded_only_while_pods_wait_for_others() -> None:
    cut = device({"3g.40gb": 1}, {"1g.10gb": 4})
    assert fragmentation([cut], {}).stranded_compute_slices == 0
    waiting = fragmentation([cut], {(NAME, "3g.40gb"): 1})
    assert waiting.stranded_compute_slices == 4 and waiting.stranded[0].profiles == ("1g.10gb",) * 4


def test_the_repartition_serves_what_waits_and_keeps_what_it_can() -> None:
    found = fragmentation([device({"3g.40gb": 1}, {"1g.10gb": 4})], {(NAME, "3g.40gb"): 1})
    assert [(move.remove, move.create) for move in found.repartitions] == [(("1g.10gb",) * 4, ("3g.40gb",))]
    assert found.unserved == {}


def test_free_instances_serve_what_waits_for_them_before_anything_is_cut() -> None:
    found = fragmentation([device({}, {"1g.10gb": 7})], {(NAME, "1g.10gb"): 3})
    assert (found.served, found.repartitions, found.unserved) == (3, (), {})


def test_what_no_cut_has_room_for_is_said() -> None:
    found = fragmentation([device({"4g.40gb": 1, "3g.40gb": 1}, {})], {(NAME, "2g.20gb"): 2, ("a30-24gb", "1g.6gb"): 1})
    assert found.unserved == {("a30-24gb", "1g.6gb"): 1, (NAME, "2g.20gb"): 2} and found.repartitions == ()


def test_a_device_that_is_not_partitioned_strands_nothing() -> None:
    assert fragmentation([device({}, {})], {}).stranded == ()
    assert fragmentation([], {}).stranded_micros_per_hour == 0


def test_stranded_slices_of_a_device_without_a_price_cost_an_unknown_amount() -> None:
    unpriced = Missing(reason=Reason.UNKNOWN_PRICE, message="no price")
    found = fragmentation([device({"1g.20gb": 4}, {}, price=unpriced)], {})
    assert isinstance(found.stranded_micros_per_hour, Missing) and found.stranded_compute_slices == 3


def test_instances_known_only_by_node_are_packed_on_devices_that_can_hold_them() -> None:
    found = packed("n1", H100, 2, {"4g.40gb": 2, "3g.40gb": 1}, {"3g.40gb": 1}, 7_000_000)
    assert [dict(Counter(each.used) + Counter(each.free)) for each in found] == [{"4g.40gb": 1, "3g.40gb": 1}] * 2


counts = st.dictionaries(st.sampled_from(PROFILES), st.integers(0, 7), max_size=4)


@given(used=counts, free=counts, pending=counts, devices=st.integers(0, 4))
def test_a_proposal_never_overfills_a_device_nor_touches_what_runs(
    used: dict[str, int], free: dict[str, int], pending: dict[str, int], devices: int
) -> None:
    cut = packed("n1", H100, devices, used, free, 7_000_000)
    found = fragmentation(cut, {(NAME, profile): count for profile, count in pending.items()})
    by_index = {each.index: each for each in cut}
    for move in found.repartitions:
        before = by_index[move.index]
        after = Counter(before.used) + Counter(before.free) - Counter(move.remove) + Counter(move.create)
        assert not Counter(move.remove) - Counter(before.free)
        assert sum(compute_slices(H100, profile) * count for profile, count in after.items()) <= 7
        assert sum(memory_slices(H100, profile) * count for profile, count in after.items()) <= 8
    created = sum(len(move.create) for move in found.repartitions)
    assert found.served + created + sum(found.unserved.values()) == sum(pending.values())
