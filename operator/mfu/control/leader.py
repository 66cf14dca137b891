"""Leader election over a Lease (coordination.k8s.io/v1).

Times are measured with the monotonic clock of this process: the clocks of two nodes need not agree. A candidate takes over when the Lease
has not changed for its whole duration *as seen from here*; a leader that could not renew for two thirds of it gives up first, so that there
are never two.
"""

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mfu.control.cluster import Cluster
from mfu.control.resources import JsonObject, Kind
from mfu.errors import ClusterError

__all__ = ["Elector", "LeaseApi", "LeaseObject", "Timing"]

_log = logging.getLogger(__name__)


class LeaseApi(Protocol):
    """The three calls on one Lease; ClusterError with status 409 when somebody else was faster."""

    async def read(self) -> JsonObject | None: ...

    async def create(self, body: JsonObject) -> JsonObject: ...

    async def replace(self, body: JsonObject) -> JsonObject: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseObject:
    """The Lease `name` in `namespace` of a real cluster."""

    cluster: Cluster
    namespace: str
    name: str

    async def read(self) -> JsonObject | None:
        return await self.cluster.get(Kind.LEASE, self.namespace, self.name)

    async def create(self, body: JsonObject) -> JsonObject:
        metadata = {"name": self.name, "namespace": self.namespace}
        return await self.cluster.create(
            Kind.LEASE, self.namespace, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, **body}
        )

    async def replace(self, body: JsonObject) -> JsonObject:
        return await self.cluster.replace(Kind.LEASE, self.namespace, self.name, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`lease_seconds`: others wait this long after the last renewal they saw."""

    lease_seconds: float = 15.0

    @property
    def renew_deadline_seconds(self) -> float:
        return self.lease_seconds * 2 / 3

    @property
    def retry_seconds(self) -> float:
        return self.lease_seconds / 7.5


class Elector:
    """One candidate. `clock` and `sleep` are the monotonic clock and how to wait on it."""

    def __init__(
        self,
        api: LeaseApi,
        identity: str,
        timing: Timing,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._seen: tuple[str, str] = ("", "")  # holder and renew time of the Lease when it last changed
        self._seen_at = clock()
        self._lease: JsonObject | None = None
        self._renewed_at = 0.0

    async def acquire(self) -> None:
        """Returns when this candidate holds the Lease."""
        while not await self._round():
            await self._sleep(self._timing.retry_seconds)
        _log.info("holds the lease as %s", self._identity)

    async def hold(self) -> None:
        """Renews; returns when the Lease is lost: taken by another, or not renewed in time."""
        while True:
            await self._sleep(self._timing.retry_seconds)
            left = self._renewed_at + self._timing.renew_deadline_seconds - self._clock()
            if left <= 0:
                _log.error("lost the lease: not renewed for %.0f s", self._timing.renew_deadline_seconds)
                return
            if not await self._round(left) and self._holder() not in ("", self._identity):
                _log.error("lost the lease to %s", self._holder())
                return

    async def release(self) -> None:
        """Lets the next candidate in at once; does nothing when the Lease is not ours any more."""
        if self._lease is None or self._holder() != self._identity:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(self._timing.retry_seconds):
                await self._api.replace({**self._lease, "spec": spec})
        except (ClusterError, TimeoutError) as error:
            _log.warning("could not release the lease: %s", error or "no answer in time")
        self._lease = None

    async def _round(self, seconds: float | None = None) -> bool:
        """One try to take or renew the Lease; every failure is a lost round."""
        try:
            async with asyncio.timeout(min(self._timing.retry_seconds * 2, seconds or self._timing.renew_deadline_seconds)):
                return await self._try()
        except TimeoutError:
            _log.warning("the API server did not answer about the lease in time")
        except ClusterError as error:
            if error.status != 409:
                _log.warning("lease: %s", error)
        return False

    async def _try(self) -> bool:
        asked_at = self._clock()
        lease = await self._api.read()
        if lease is None:
            self._take(await self._api.create({"spec": self._spec(None)}), asked_at)
            return True
        self._notice(lease)
        holder = self._holder()
        if holder not in ("", self._identity) and self._clock() - self._seen_at < self._duration():
            return False
        self._take(await self._api.replace({**lease, "spec": self._spec(lease["spec"])}), asked_at)
        return True

    def _notice(self, lease: JsonObject) -> None:
        spec = lease.get("spec") or {}
        lease["spec"] = spec
        seen = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        self._lease = lease

    def _take(self, lease: JsonObject, asked_at: float) -> None:
        self._notice(lease)
        # Others count from when they see the renewal, which is not before we asked for it.
        self._renewed_at = asked_at

    def _holder(self) -> str:
        return str((self._lease or {}).get("spec", {}).get("holderIdentity") or "")

    def _duration(self) -> float:
        return float((self._lease or {}).get("spec", {}).get("leaseDurationSeconds") or self._timing.lease_seconds)

    def _spec(self, before: JsonObject | None) -> JsonObject:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before is not None and before.get("holderIdentity") == self._identity
        transitions = int((before or {}).get("leaseTransitions") or 0)
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.lease_seconds)),
            "acquireTime": before["acquireTime"] if ours and before and before.get("acquireTime") else now,
            "renewTime": now,
            "leaseTransitions": transitions if ours or before is None else transitions + 1,
        }
