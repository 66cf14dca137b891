"""Triton is recognised and said to count no tokens."""

from __future__ import annotations

from dataclasses import replace

from mfu.missing import Missing, Reason
from mfu.observe import triton
from mfu.observe.observation import Observation
from mfu.observe.tick import read_snapshot
from mfu.observe.workload import observe
from tests.observe.cases import NOW, FakeMetrics, inference, pod, sample, serves, snapshot, workload

LABELS = {"namespace": "team", "pod": "job-0"}


def test_a_triton_pod_is_recognised_by_the_requests_it_counts() -> None:
    assert triton.read([sample("triton", NOW, **LABELS), sample("tokens", 1.0, namespace="team", pod="other")]) == {pod()}


def test_a_tick_finds_them() -> None:
    metrics = FakeMetrics(answer=lambda promql: [sample("triton", NOW, **LABELS)] if "nv_inference_count" in promql else [])
    assert read_snapshot(metrics, now=NOW).countless == {pod()}


def test_the_user_is_told_what_to_do() -> None:
    found = observe(workload(inference()), [pod()], replace(snapshot(), countless=frozenset({pod()})))
    assert isinstance(found, Missing) and found.reason is Reason.TELEMETRY_UNSUPPORTED
    assert "trtllm-serve" in found.message and "dcgm" in found.message


def test_a_back_end_that_counts_tokens_is_read() -> None:
    seen = replace(snapshot(served={pod(): serves(100.0, 20.0)}), countless=frozenset({pod()}))
    assert isinstance(observe(workload(inference()), [pod()], seen), Observation)
