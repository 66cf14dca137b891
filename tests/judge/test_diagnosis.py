"""Causes from evidence: each rule on its own, the order among several, and shares that add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.estimate import estimator
from mfu.estimate.result import Bound, Estimate, MemoryFit, MemoryPart, Term
from mfu.estimate.workload import Workload
from mfu.hardware.precision import Precision
from mfu.judge.assessment import Cause
from mfu.judge.diagnosis import diagnose
from mfu.judge.structure import avoidable
from mfu.judge.waterfall import Loss, shares, waterfall
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from mfu.place.assess import Spread
from mfu.place.groups import GroupKind
from tests.judge.cases import GIB, change, estimate, fabric, inference, observed, training, unknown

NO_SPREAD = unknown()


def spread(*, link_domain: int = 8, crossing: tuple[GroupKind, ...] = (), inside: bool | None = True) -> Spread:
    return Spread(
        gpus=32,
        nodes=4,
        nvlink_domains=4,
        leaves=2,
        spines=1,
        level=None,
        link_domain=link_domain,
        crossing=crossing,
        group_level=None,
        wanted_level=None,
        groups_inside=inside,
        keys=(),
        message="4 nodes, 2 leaves",
    )


def expected(workload: Workload) -> Estimate:
    found = estimator.estimate(workload)
    assert isinstance(found, Estimate)
    return found


def quiet(*, low: float | None = None) -> Estimate:
    """An expectation that no single cause keeps low."""
    terms = (
        Term(name="matmul", seconds=0.85, bound=Bound.COMPUTE),
        Term(name="tensorParallel", seconds=0.09, bound=Bound.COMMUNICATION),
        Term(name="elementwise", seconds=0.06, bound=Bound.MEMORY),
    )
    return estimate(0.4, low=low, terms=terms)


def causes(
    evidence: Evidence,
    *,
    speed: float = 0.5,
    workload: Workload | None = None,
    reached: Estimate | None = None,
    hardware: float | None = None,
    where: Spread | Missing = NO_SPREAD,
) -> list[Cause]:
    job = workload or training()
    hope = reached or quiet()
    seen = observed(hope.mfu_ratio * speed, hardware=hardware, accelerators=job.fabric.count, evidence=evidence)
    found = diagnose(job, hope, seen, where)
    assert sum(share.share_ratio for share in found) <= 1.0 + 1e-9
    assert [share.share_ratio for share in found] == sorted((share.share_ratio for share in found), reverse=True)
    return [share.cause for share in found]


STALLED = Evidence(busy_ratio=0.99, tensor_active_ratio=0.2)

RULES = [
    pytest.param(Evidence(data_wait_ratio=0.44), 0.55, Cause.DATA_STARVATION, id="data starvation"),
    pytest.param(Evidence(slowest_node="n7", slowest_node_ratio=0.6), 0.6, Cause.STRAGGLER, id="straggler"),
    pytest.param(Evidence(clock_ratio=0.5, busy_ratio=0.99), 0.6, Cause.THROTTLING, id="throttling"),
    pytest.param(STALLED, 0.6, Cause.COMMUNICATION, id="spinning in collectives"),
    pytest.param(Evidence(busy_ratio=0.4, tensor_active_ratio=0.2), 0.5, Cause.HOST_BOUND, id="waiting for the host"),
    pytest.param(Evidence(memory_active_ratio=0.85), 0.5, Cause.MEMORY_BOUND, id="memory busy where arithmetic was expected"),
    pytest.param(Evidence(), 0.5, Cause.UNEXPLAINED, id="no evidence"),
]


@pytest.mark.parametrize(("evidence", "speed", "cause"), RULES)
def test_evidence_names_its_cause_first(evidence: Evidence, speed: float, cause: Cause) -> None:
    assert causes(evidence, speed=speed)[0] is cause


def test_an_idle_device_at_low_clocks_is_not_throttled() -> None:
    assert Cause.THROTTLING not in causes(Evidence(clock_ratio=0.2, busy_ratio=0.1, tensor_active_ratio=0.05))


@pytest.mark.parametrize("speed", [0.95, 0.91, 1.0, 1.2])
def test_a_workload_near_its_expectation_is_healthy(speed: float) -> None:
    assert causes(STALLED, speed=speed) == []


def test_a_measured_wait_is_told_even_where_the_expectation_is_met() -> None:
    assert causes(Evidence(data_wait_ratio=0.4), speed=1.1) == [Cause.DATA_STARVATION]
    assert causes(Evidence(data_wait_ratio=0.03), speed=1.1) == []


def test_a_workload_inside_its_interval_is_healthy() -> None:
    assert causes(Evidence(), speed=0.8, reached=quiet(low=0.3)) == []


def test_without_an_expectation_nothing_is_diagnosed() -> None:
    assert diagnose(training(), unknown(Reason.UNKNOWN_MODEL), observed(0.1), NO_SPREAD) == ()


def test_groups_that_leave_their_fast_links_are_a_topology_cause() -> None:
    job = training(tensor=8)
    reached = expected(job)
    where = spread(link_domain=4, crossing=(GroupKind.TENSOR,), inside=False)
    placed = expected(replace(job, fabric=replace(job.fabric, link_domain=4)))
    found = diagnose(job, reached, observed(placed.mfu_ratio), where)
    assert found[0].cause is Cause.TOPOLOGY
    assert found[0].share_ratio == pytest.approx(1.0, abs=0.02)
    assert found[0].evidence == where.message


def test_groups_that_cross_more_borders_than_they_need_are_a_topology_cause() -> None:
    job = training(tensor=16)
    assert causes(STALLED, workload=job, where=spread(inside=False))[0] is Cause.TOPOLOGY
    assert causes(STALLED, workload=job, where=spread(inside=True))[0] is Cause.COMMUNICATION
    assert causes(STALLED, workload=job, where=spread(inside=None))[0] is Cause.COMMUNICATION


def test_far_fewer_requests_than_declared_are_a_small_batch_while_the_engine_is_busy() -> None:
    job = inference(concurrency=64)
    busy = Evidence(running_requests=3.0, waiting_requests=0.0, busy_ratio=0.97)
    assert causes(busy, workload=job, reached=expected(job), speed=0.1)[0] is Cause.SMALL_BATCH


def test_an_engine_that_lets_requests_queue_is_a_small_batch_too() -> None:
    job = inference(concurrency=64)
    limited = Evidence(running_requests=8.0, waiting_requests=40.0, busy_ratio=0.5, cache_usage_ratio=0.1)
    assert causes(limited, workload=job, reached=expected(job), speed=0.25)[0] is Cause.SMALL_BATCH


def test_they_are_low_demand_while_it_idles() -> None:
    job = inference(concurrency=64)
    idle = Evidence(running_requests=0.3, waiting_requests=0.0, busy_ratio=0.2)
    assert causes(idle, workload=job, reached=expected(job), speed=0.05)[0] is Cause.LOW_DEMAND


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(Evidence(running_requests=30.0, waiting_requests=12.0, cache_usage_ratio=0.98), id="full and queueing"),
        pytest.param(Evidence(running_requests=30.0, preemptions_per_second=0.5, cache_usage_ratio=0.7), id="preemptions"),
    ],
)
def test_a_full_cache_is_pressure_and_not_a_small_batch(evidence: Evidence) -> None:
    job = inference(concurrency=64)
    assert causes(evidence, workload=job, reached=expected(job))[0] is Cause.CACHE_PRESSURE


@pytest.mark.parametrize(
    ("compute", "hardware", "cause"),
    [
        pytest.param(Precision.FP8, 0.45, Cause.PRECISION_MISMATCH, id="kernels wider than declared"),
        pytest.param(Precision.BF16, 0.45, Cause.WRONG_DECLARATION, id="more work than declared"),
        pytest.param(Precision.BF16, 0.20, Cause.UNEXPLAINED, id="as much work as declared"),
    ],
)
def test_tensor_pipes_that_do_too_much_work_point_at_the_declaration(compute: Precision, hardware: float, cause: Cause) -> None:
    assert causes(Evidence(), workload=training(compute=compute), speed=0.5, hardware=hardware)[0] is cause


def test_declared_recomputation_is_no_wrong_declaration() -> None:
    recomputing = estimate(0.4, hfu=0.4 * 4 / 3)
    assert causes(Evidence(), reached=recomputing, speed=0.5, hardware=0.2 * 4 / 3 * 1.1)[0] is Cause.UNEXPLAINED


def test_an_application_figure_above_the_hardwares_is_a_wrong_declaration_whatever_the_gap() -> None:
    found = diagnose(training(), estimate(0.4), observed(0.6, hardware=0.2), NO_SPREAD)
    assert [(share.cause, share.share_ratio) for share in found] == [(Cause.WRONG_DECLARATION, 1.0)]
    assert "60.0%" in found[0].evidence


def test_an_engine_that_counts_otherwise_is_no_cause() -> None:
    odd = observed(0.4, hardware=0.5, faults=("the engine's own count is 8.00 times the model FLOPs of its tokens",))
    assert diagnose(training(), quiet(), odd, NO_SPREAD) == ()


def test_two_causes_share_the_gap_by_what_each_takes() -> None:
    evidence = Evidence(data_wait_ratio=0.4, slowest_node="n7", slowest_node_ratio=0.9)
    found = diagnose(training(), estimate(0.4), observed(0.4 * 0.6 * 0.9, evidence=evidence), NO_SPREAD)
    assert [share.cause for share in found] == [Cause.DATA_STARVATION, Cause.STRAGGLER]
    assert sum(share.share_ratio for share in found) == pytest.approx(1.0)
    assert "n7" in found[1].evidence and "40%" in found[0].evidence


def test_what_is_left_within_the_expectations_own_doubt_has_no_cause() -> None:
    evidence = Evidence(data_wait_ratio=0.44)
    found = diagnose(training(), estimate(0.4, low=0.34), observed(0.4 * 0.56 * 0.93, evidence=evidence), NO_SPREAD)
    assert [share.cause for share in found] == [Cause.DATA_STARVATION]
    more = diagnose(training(), estimate(0.4, low=0.34), observed(0.4 * 0.56 * 0.5, evidence=evidence), NO_SPREAD)
    assert [share.cause for share in more] == [Cause.UNEXPLAINED, Cause.DATA_STARVATION]


def test_while_nothing_is_observed_the_expectations_own_terms_are_the_causes() -> None:
    job = training(tensor=8, pipeline=4)
    found = diagnose(job, expected(job), unknown(Reason.NOT_RUNNING), NO_SPREAD)
    assert found[0].cause is Cause.COMMUNICATION
    assert "of the expected step" in found[0].evidence
    assert 0.0 < sum(share.share_ratio for share in found) <= 1.0


def test_room_for_many_more_requests_is_a_small_batch_before_anything_runs() -> None:
    terms = (Term(name="weightStreaming", seconds=0.9, bound=Bound.MEMORY, ceiling_mfu_ratio=0.5),)
    lonely = replace(
        estimate(0.05, serving=True, concurrency=4, bound=Bound.MEMORY, terms=terms),
        memory=MemoryFit(
            parts=(MemoryPart(name="weights", required_bytes=16 * GIB), MemoryPart(name="kvCache", required_bytes=1 * GIB)),
            capacity_bytes=45 * GIB,
        ),
    )
    found = diagnose(inference(concurrency=4), lonely, unknown(Reason.NOT_RUNNING), NO_SPREAD)
    assert found[0].cause is Cause.SMALL_BATCH
    assert "4 requests in flight where memory holds about 116" in found[0].evidence


@given(
    parts=st.lists(st.floats(0.0, 1.0), max_size=6),
    speed=st.floats(0.0, 1.0),
)
def test_shares_are_never_negative_and_never_more_than_the_gap(parts: list[float], speed: float) -> None:
    found = shares([Loss(cause=Cause.STRAGGLER, lost_ratio=part, evidence="") for part in parts], speed_ratio=speed)
    assert all(share.share_ratio >= 0.0 for share in found)
    assert sum(share.share_ratio for share in found) <= 1.0 + 1e-9


@given(st.lists(st.floats(0.05, 0.9), min_size=1, max_size=5))
def test_causes_that_multiply_to_the_gap_explain_all_of_it(parts: list[float]) -> None:
    speed = 1.0
    for part in parts:
        speed *= 1.0 - part
    found = shares([Loss(cause=Cause.STRAGGLER, lost_ratio=part, evidence="") for part in parts], speed_ratio=max(speed, 1e-3))
    assert sum(share.share_ratio for share in found) == pytest.approx(1.0)


def test_a_slice_of_a_single_device_is_not_told_to_look_at_its_collectives() -> None:
    alone = training(on=fabric("l40s-48gb", 1))
    assert causes(STALLED, workload=alone)[0] is Cause.UNEXPLAINED


def test_a_gap_that_the_expectation_holds_by_its_declaration_is_told_when_a_change_would_close_it() -> None:
    lonely, busy = inference(concurrency=2), inference(concurrency=64)
    hope = expected(lonely)
    tried = (change("inference.concurrency", "2", "64", expected(busy), busy),)
    seen = observed(hope.mfu_ratio, accelerators=1, evidence=Evidence(running_requests=2.0, busy_ratio=0.97))
    found = diagnose(lonely, hope, seen, NO_SPREAD, tried)
    assert found[0].cause is Cause.SMALL_BATCH and found[0].expected
    assert "inference.concurrency 2 → 64 would give" in found[0].evidence
    assert diagnose(lonely, hope, seen, NO_SPREAD, ()) == ()
    assert avoidable(busy, expected(busy), ()) == ()


@pytest.mark.parametrize(
    ("evidence", "hardware", "cause"),
    [
        pytest.param(Evidence(tokens_per_step=256 * 8192 * 0.6), 0.52, Cause.PADDING, id="the pipes work for tokens that do not count"),
        pytest.param(Evidence(shared_devices=32, sharers=2), None, Cause.SHARING, id="time-sliced"),
        pytest.param(Evidence(partitions=("3g.40gb",)), None, Cause.SHARING, id="slices where devices are declared"),
        pytest.param(Evidence(products=("NVIDIA A100-SXM4-80GB",)), None, Cause.WRONG_DECLARATION, id="another chip"),
        pytest.param(
            Evidence(clock_ratio=0.6, busy_ratio=0.99, throttle_reasons=("hardware thermal slowdown",)),
            None,
            Cause.THROTTLING,
            id="a reported thermal slowdown",
        ),
        pytest.param(Evidence(busy_ratio=0.99, link_errors_per_second=90.0), None, Cause.SLOW_INTERCONNECT, id="link errors everywhere"),
        pytest.param(
            Evidence(busy_ratio=0.99, link_errors_per_second=9.0, link_error_node="n3", slowest_node_reasons=("72 link errors a second",)),
            None,
            Cause.STRAGGLER,
            id="link errors on one node",
        ),
        pytest.param(
            Evidence(busy_ratio=0.99, tensor_active_ratio=0.2, memory_active_ratio=0.6), None, Cause.KERNEL_MISMATCH, id="unfused attention"
        ),
    ],
)
def test_other_evidence_names_its_cause_first(evidence: Evidence, hardware: float | None, cause: Cause) -> None:
    job = training()
    assert causes(evidence, speed=0.6, hardware=hardware, workload=job, reached=expected(job))[0] is cause


def test_uneven_experts_are_told_from_uneven_stages() -> None:
    uneven = Evidence(hottest_device_ratio=1.5, busy_ratio=0.99)
    assert causes(uneven, speed=0.7, workload=training(pipeline=4))[0] is Cause.PIPELINE_BUBBLE
    assert Cause.ROUTING_IMBALANCE not in causes(uneven, speed=0.7, workload=training(pipeline=4))


def test_figures_that_are_there_are_named_and_not_asked_for() -> None:
    job, where = training(on=fabric("l40s-48gb", 1)), NO_SPREAD
    blind = diagnose(job, quiet(), observed(0.2, accelerators=1), where)[0]
    assert blind.cause is Cause.UNEXPLAINED and "enable the profiling counters" in blind.evidence
    told = diagnose(job, quiet(), observed(0.2, accelerators=1, evidence=STALLED), where)[0]
    assert told.evidence.startswith("busy 99%, tensor pipes active 20%") and "enable" not in told.evidence


@pytest.mark.parametrize("speed", [0.3, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("serving", [False, True])
def test_the_waterfall_adds_up_from_the_peak_to_what_is_observed(speed: float, serving: bool) -> None:
    job = inference() if serving else training(tensor=8, pipeline=4)
    hope = expected(job)
    seen = observed(hope.mfu_ratio * speed, accelerators=job.fabric.count, evidence=Evidence(data_wait_ratio=0.2, busy_ratio=0.8))
    rungs = waterfall(hope, seen, diagnose(job, hope, seen, NO_SPREAD))
    left = 1.0
    for rung in rungs:
        left -= rung.lost_ratio
        assert rung.left_ratio == pytest.approx(left, abs=0.003)
    assert (rungs[0].name, rungs[-1].name) == ("peak", "observed")
    assert rungs[-1].left_ratio == pytest.approx(hope.mfu_ratio * speed)
    assert waterfall(hope, unknown(Reason.NOT_RUNNING), ())[-1].name == "expected"
