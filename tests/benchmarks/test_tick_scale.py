"""What a tick costs over a big fleet: a real Prometheus that scrapes it, a real API server that holds it.

    pytest -m benchmark tests/benchmarks/test_tick_scale.py -s

`MFU_SCALE_WORKLOADS` is the number of workloads, 5,000 when not set, with eight accelerators each on average. The figures hold for a
machine that does nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.scale_run import Scene, Tick, scene
from sandbox.toolchain import Tools

WORKLOADS = int(os.environ.get("MFU_SCALE_WORKLOADS", "5000"))
FEW_WORKLOADS = 50
SETTLING_TICKS, MEASURED_TICKS = 3, 5
FILL_SECONDS = 900.0

MOST_QUERIES = 25
MOST_WALL_SECONDS = 15.0
MOST_CPU_SECONDS = 5.0
MOST_MEMORY_BYTES = 600e6
MOST_WRITTEN_RATIO = 0.01


def _row(name: str, value: str, target: str) -> None:
    print(f"  {name:<48}{value:>16}   {target}")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _settled(found: Scene) -> list[Tick]:
    """Ticks of the steady state, once every workload shows what was observed; then the operator is ended."""
    operator = found.start_operator()
    written = found.plane.supervisor
    written.wait_until(
        "every workload shows what is observed",
        lambda: found.written() == found.fleet.workloads,
        seconds=FILL_SECONDS,
        of=operator.running,
        interval_seconds=5.0,
    )
    ticks = list(operator.ticks(SETTLING_TICKS + MEASURED_TICKS, seconds=FILL_SECONDS))[SETTLING_TICKS:]
    _row("memory, peak", f"{operator.memory_bytes(peak=True) / 1e6:.0f} MB", f"≤ {MOST_MEMORY_BYTES / 1e6:.0f} MB")
    found.plane.supervisor.end(operator.running)
    return ticks


def _writes_after_a_fresh_start(found: Scene) -> int:
    operator = found.start_operator("operator-again")
    list(operator.ticks(2, seconds=FILL_SECONDS))
    written = operator.writes()
    found.plane.supervisor.end(operator.running)
    return written


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_a_tick_over_a_big_fleet(tools: Tools, tmp_path: Path) -> None:
    with scene(tmp_path / "few", tools, FEW_WORKLOADS) as few:
        few_queries = max(tick.queries for tick in _settled(few))
    started = time.monotonic()
    with scene(tmp_path / "many", tools, WORKLOADS) as many:
        print(f"\n{WORKLOADS} workloads on {many.fleet.accelerators} accelerators of {many.fleet.nodes} nodes; {os.cpu_count()} cores")
        _row("set-up", f"{time.monotonic() - started:.0f} s", "")
        ticks = _settled(many)
        again = _writes_after_a_fresh_start(many)
    wall, cpu = max(tick.wall_seconds for tick in ticks), max(tick.cpu_seconds for tick in ticks)
    memory = max(tick.memory_bytes for tick in ticks)
    writes = max(tick.writes for tick in ticks)
    share = _mean([tick.store_seconds for tick in ticks]) / _mean([tick.wall_seconds for tick in ticks])
    evaluated = _mean([tick.evaluation_seconds for tick in ticks]) / _mean([tick.wall_seconds for tick in ticks])
    _row("tick, wall, worst", f"{wall:.1f} s", f"≤ {MOST_WALL_SECONDS:.0f} s")
    _row("tick, the operator's own CPU, worst", f"{cpu:.1f} s", f"≤ {MOST_CPU_SECONDS:.0f} s")
    _row("share of the tick in Prometheus", f"{share:.0%}", "")
    _row("share of the tick in Prometheus's evaluation", f"{evaluated:.0%}", "")
    _row("queries a tick", f"{ticks[0].queries}", f"{few_queries} with {FEW_WORKLOADS} workloads")
    _row("status writes a tick, worst", f"{writes}", f"≤ {MOST_WRITTEN_RATIO * WORKLOADS:.0f}")
    _row("status writes after a fresh start", f"{again}", "what moved meanwhile")
    assert {tick.queries for tick in ticks} == {few_queries}
    assert few_queries <= MOST_QUERIES
    assert memory <= MOST_MEMORY_BYTES
    assert writes <= max(1, MOST_WRITTEN_RATIO * WORKLOADS)
    assert again <= max(1, MOST_WRITTEN_RATIO * WORKLOADS)
