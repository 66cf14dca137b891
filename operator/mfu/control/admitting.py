"""Opens or keeps closed the gates of one workload's Jobs and pods.

The gate fails open: by its deadline, by break-glass, and at once when the operator itself stumbles. Nothing but the held object is needed
to know its deadline, so that no lost record can hold anything for ever.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mfu.api.figures import instant
from mfu.control.cluster import Cluster
from mfu.control.events import Happening, Recorder
from mfu.control.exporter import ControllerMetrics
from mfu.control.gates import Held, ReleaseReason
from mfu.control.placing import Placing, Release
from mfu.control.resources import Key, Kind
from mfu.control.store import Store
from mfu.errors import ClusterError
from mfu.estimate.workload import Workload
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing
from mfu.place.hint import Hint

__all__ = ["Admitting"]

_log = logging.getLogger(__name__)

NEW_SECONDS = 120.0
# Deleted, replaced by another object of that name, or opened by somebody else.
GONE = (404, 409, 422)


class Admitting:
    """`max_hold_seconds` applies where no policy says how long."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        recorder: Recorder,
        metrics: ControllerMetrics,
        placing: Placing,
        max_hold_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._recorder = recorder
        self._metrics = metrics
        self._placing = placing
        self._max_hold_seconds = max_hold_seconds
        self._clock = clock
        self._told: dict[str, str] = {}  # uid of a held object → what was last told of its hold

    async def without_workload(self, key: Key, held: Sequence[Held]) -> float | None:
        """For objects whose ModelWorkload does not exist (yet); returns when to look again, in seconds."""
        left = await self._release_overdue(held, self._max_hold_seconds)
        for member in left:
            if self._is_news(member, "NoSuchWorkload"):
                message = (
                    f"held until ModelWorkload {key.namespace}/{key.name} exists, at most {self._max_hold_seconds:.0f} s after creation; "
                    "create it, or correct the label mfu.dev/workload"
                )
                await self._recorder.record(member.key, member.body, Happening(reason="NoSuchWorkload", message=message, warning=True))
        return self._soonest(left, self._max_hold_seconds)

    async def unlabelled(self, member: Held) -> None:
        """Opens an object that was held and then lost the label: nothing is asked of it any more, and no later event would open it."""
        try:
            await self._cluster.patch(member.key.kind, member.key.namespace, member.key.name, member.parting_patch())
        except ClusterError as error:
            if error.status in GONE:
                return
            raise
        await self._tell_released(member, ReleaseReason.UNLABELLED, "let through because the label mfu.dev/workload was taken away")

    async def after_error(self, held: Sequence[Held]) -> None:
        """Our own failure holds nobody back."""
        message = "let through because the operator could not judge the workload; see the ModelWorkload's Ready condition"
        for member in held:
            await self._release(Release(held=member, hint=None, affinity=None), ReleaseReason.OPERATOR_ERROR, message)

    async def judged(self, key: Key, workload: Workload | Missing, verdict: Verdict, held: Sequence[Held]) -> float | None:
        """Opens the gates when the verdict lets the workload through; else returns when the first deadline is, in seconds."""
        match verdict.decision:
            case Decision.ADMITTED | Decision.WARNED:
                if isinstance(workload, Missing):
                    releases = tuple(Release(held=member, hint=None, affinity=None) for member in held)
                else:
                    releases = self._placing.choose(key, workload, held, self._clock())
                by_hand = verdict.reason is VerdictReason.BREAK_GLASS
                reason = ReleaseReason.BREAK_GLASS if by_hand else ReleaseReason.ADMITTED
                for release in releases:
                    await self._release(release, reason, f"{verdict.message}; {_where(release)}" if by_hand else _where(release))
                return 0.0 if len(releases) < len(held) else None
            case _:
                left = await self._release_overdue(held, verdict.max_hold_seconds)
                for member in left:
                    await self._tell_held(member, verdict)
                return self._soonest(left, verdict.max_hold_seconds)

    async def _tell_held(self, member: Held, verdict: Verdict) -> None:
        """For whoever describes the Job. A Job that is not new and of which we told nothing was told by the leader before us."""
        known = str(member.body["metadata"].get("uid")) in self._told
        if member.key.kind is not Kind.JOB or not (known or self._clock() - member.created_seconds <= NEW_SECONDS):
            return
        if not self._is_news(member, str(verdict.reason)):
            return
        until = datetime.fromtimestamp(member.deadline_seconds(verdict.max_hold_seconds), UTC)
        message = f"held until {instant(until)} at the latest: {verdict.reason}: {verdict.message}"
        await self._recorder.record(member.key, member.body, Happening(reason="Held", message=message, warning=True))

    def _is_news(self, member: Held, reason: str) -> bool:
        """Whether this is another reason to hold the object than the one that was last told; remembers it."""
        uid = str(member.body["metadata"].get("uid"))
        if self._told.get(uid) == reason:
            return False
        self._told[uid] = reason
        return True

    async def _release_overdue(self, held: Sequence[Held], max_hold_seconds: float) -> list[Held]:
        """Opens what is past its deadline or has a break-glass reason; returns the rest."""
        left = []
        for member in held:
            bare = Release(held=member, hint=None, affinity=None)
            if member.skip_reason is not None:
                await self._release(bare, ReleaseReason.BREAK_GLASS, f"let through by mfu.dev/skip-gate: {member.skip_reason}")
            elif member.deadline_seconds(max_hold_seconds) <= self._clock():
                await self._release(bare, ReleaseReason.GATE_TIMED_OUT, f"let through after the longest hold of {max_hold_seconds:.0f} s")
            else:
                left.append(member)
        return left

    def _soonest(self, held: Sequence[Held], max_hold_seconds: float) -> float | None:
        deadlines = [member.deadline_seconds(max_hold_seconds) for member in held]
        return max(0.1, min(deadlines) - self._clock()) if deadlines else None

    async def _release(self, release: Release, reason: ReleaseReason, message: str) -> None:
        held = release.held
        try:
            await self._open(held, reason, release)
        except ClusterError as error:
            if error.status == 404:
                return
            raise
        await self._tell_released(held, reason, message)

    async def _tell_released(self, held: Held, reason: ReleaseReason, message: str) -> None:
        self._metrics.releases.labels(reason.value).inc()
        _log.info("released %s (%s): %s", held.key, reason.value, message)
        if held.key.kind is Kind.JOB or reason is not ReleaseReason.ADMITTED:
            happening = Happening(reason=reason.value, message=message, warning=reason is not ReleaseReason.ADMITTED)
            await self._recorder.record(held.key, held.body, happening)

    async def _open(self, held: Held, reason: ReleaseReason, release: Release) -> None:
        key = held.key
        try:
            answer = await self._cluster.patch(key.kind, key.namespace, key.name, held.patch(reason, release.affinity))
        except ClusterError as error:
            if error.status != 422 or release.affinity is None:
                raise
            # Scheduling directives that cannot be changed any more must not keep the gate closed.
            _log.warning("%s is released without a placement hint: %s", key, error)
            answer = await self._cluster.patch(key.kind, key.namespace, key.name, held.patch(reason))
        # Known at once, not only when the watch tells: the next look must not find the gate closed.
        self._store.apply(key.kind, answer)


def _where(release: Release) -> str:
    match release.hint:
        case Hint() as hint:
            return f"admitted with {'required' if hint.required else 'preferred'} placement: {hint.reason}"
        case Missing() as missing:
            return f"admitted without a placement hint: {missing.message}"
        case _:
            return "admitted"
