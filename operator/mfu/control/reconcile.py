"""One look at one object: judge it, open or keep its gates, write its status, tell what changed."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from mfu.api.conditions import Claim, conditions
from mfu.api.status import Placement, render
from mfu.control.admitting import Admitting
from mfu.control.events import Recorder
from mfu.control.exporter import ControllerMetrics, WorkloadFigures
from mfu.control.gates import Held, held
from mfu.control.judging import Judged, Judging
from mfu.control.placing import Placing
from mfu.control.policies import policy_status
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store
from mfu.control.strays import Strays
from mfu.control.transitions import transitions
from mfu.control.view import View
from mfu.control.writing import StatusWriter
from mfu.errors import ClusterError
from mfu.missing import Missing

__all__ = ["Reconciler"]

_log = logging.getLogger(__name__)


class Reconciler:
    """`reconcile` is what the writers call with every key; it is level-based: only the present state counts."""

    def __init__(
        self,
        *,
        store: Store,
        view: View,
        judging: Judging,
        placing: Placing,
        admitting: Admitting,
        writer: StatusWriter,
        recorder: Recorder,
        metrics: ControllerMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._strays = Strays(store)
        self._view = view
        self._judging = judging
        self._placing = placing
        self._admitting = admitting
        self._writer = writer
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._settled: set[Key] = set()

    async def reconcile(self, key: Key) -> float | None:
        """In how many seconds to look again without any change; None: not before one. ClusterError: the API refused a write."""
        match key.kind:
            case Kind.WORKLOAD:
                return await self._workload(key)
            case Kind.POLICY:
                await self._policy(key)
            case Kind.CLASS:
                await self._class(key)
            case _:
                _log.warning("nothing to do for %s", key)
        return None

    async def _workload(self, key: Key) -> float | None:
        for stray in self._strays.of(key):
            await self._admitting.unlabelled(stray)
            self._strays.dealt_with(key, stray)
        waiting = self._held(key)
        body = self._store.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._settled.discard(key)
            self._judging.forget(key)
            self._placing.forget(key)
            self._metrics.forget_workload(key)
            return await self._admitting.without_workload(key, waiting)
        try:
            judged = await self._judging.judge(key, body, self._clock())
            assessment = judged.assessment
            again = await self._admitting.judged(key, assessment.workload, judged.at_gate, waiting)
            again = _sooner(again, self._judging.again_seconds(body))
            status = self._status(key, body, judged)
        except ClusterError:
            raise
        except Exception as error:  # noqa: BLE001 - told in the object's status
            _log.exception("cannot judge %s", key)
            await self._stumbled(key, body, waiting, error)
            return None
        self._show(key, judged, bool(self._held(key)))
        if self._is_premature(key, body, judged):
            return again
        happenings = tuple(transitions(body.get("status") or {}, status, assessment.verdict))
        if await self._writer.write(key, body, status):
            for happening in happenings:
                await self._recorder.record(key, body, happening)
        return again

    def _is_premature(self, key: Key, body: JsonObject, judged: Judged) -> bool:
        """After a restart, what runs has not been observed by us yet: the written status holds until the first tick has looked."""
        is_observable = bool(judged.running.keys) and not isinstance(judged.assessment.workload, Missing)
        if body.get("status") and is_observable and key not in self._judging.observations and key not in self._settled:
            return True
        self._settled.add(key)
        return False

    def _held(self, key: Key) -> tuple[Held, ...]:
        found = []
        for member in self._store.member_keys(key):
            body = self._store.get(member)
            waiting = held(member.kind, body) if body is not None else None
            if waiting is not None:
                found.append(waiting)
        return tuple(found)

    def _status(self, key: Key, body: JsonObject, judged: Judged) -> Mapping[str, Any]:
        previous = body.get("status") or {}
        chosen = self._placing.chosen(key)
        status = render(
            judged.assessment,
            spec=body.get("spec") or {},
            previous=previous,
            generation=int(body["metadata"].get("generation") or 0),
            now=datetime.fromtimestamp(self._clock(), UTC),
            placement=Placement(hint=chosen, spread=judged.spread),
        )
        if chosen is None:
            # The hint was given by an earlier term of ours or another process: what it said still holds.
            given = {name: value for name, value in (previous.get("placement") or {}).items() if name in ("hint", "labels", "required")}
            if "hint" in given:
                status["placement"] = {**(status.get("placement") or {}), **given}
        return status

    def _show(self, key: Key, judged: Judged, waiting: bool) -> None:
        workload = judged.assessment.workload
        declared = 0 if isinstance(workload, Missing) else workload.fabric.count
        self._metrics.show_workload(
            key,
            WorkloadFigures(
                assessment=judged.assessment,
                kind=judged.declared_kind,
                model=judged.model,
                accelerator="" if isinstance(workload, Missing) else workload.fabric.accelerator.name,
                accelerators=judged.running.accelerators or declared,
                held=waiting,
            ),
        )

    async def _stumbled(self, key: Key, body: JsonObject, waiting: tuple[Held, ...], error: Exception) -> None:
        """Our own mistake: said in the status, and nobody is held back by it."""
        await self._admitting.after_error(waiting)
        previous = body.get("status") or {}
        message = f"the operator failed on this object ({type(error).__name__}: {error}); see its log and report it"
        claim = Claim(type="Ready", status=False, reason="OperatorError", message=" ".join(message.split()))
        now = datetime.fromtimestamp(self._clock(), UTC)
        kept = [condition for condition in previous.get("conditions") or () if condition.get("type") != "Ready"]
        ready = conditions([claim], previous.get("conditions"), int(body["metadata"].get("generation") or 0), now)
        await self._writer.write(key, body, {**previous, "conditions": kept + ready})

    async def _policy(self, key: Key) -> None:
        body = self._store.get(key)
        # Every tick asks again: what is counted too early would be written twice.
        if body is not None and self._judging.is_complete:
            labels = self._workload_labels()
            now = datetime.fromtimestamp(self._clock(), UTC)
            status = policy_status(key, body, self._view.fault(key), self._view.policies(), self._judging.all(), labels, now)
            await self._writer.write(key, body, status)

    async def _class(self, key: Key) -> None:
        body = self._store.get(key)
        if body is not None:
            fault = self._view.fault(key)
            claim = Claim(
                type="Accepted", status=not fault, reason="Invalid" if fault else "Accepted", message=fault or "the class is used"
            )
            generation = int(body["metadata"].get("generation") or 0)
            now = datetime.fromtimestamp(self._clock(), UTC)
            known = (body.get("status") or {}).get("conditions")
            await self._writer.write(
                key, body, {"observedGeneration": generation, "conditions": conditions([claim], known, generation, now)}
            )

    def _workload_labels(self) -> dict[Key, tuple[Mapping[str, str], Mapping[str, str]]]:
        """Labels of the namespace and of the object, by workload."""
        return {
            key: (self._view.namespace_labels(key.namespace), body["metadata"].get("labels") or {})
            for key, body in self._store.all(Kind.WORKLOAD).items()
        }


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
