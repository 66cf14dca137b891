"""Time of collectives over fast links inside a domain and the network between domains (ring algorithms; Thakur et al., 2005, section 4)."""

from dataclasses import dataclass
from math import ceil, log2

__all__ = ["Group", "Links", "all_gather_seconds", "all_reduce_seconds", "all_to_all_seconds", "transfer_seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Achieved bandwidths one way for each accelerator, and the latency of one collective."""

    link_bytes_per_second: float
    network_bytes_per_second: float
    domain: int
    latency_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`size` ranks that communicate; neighbours in the group are `stride` ranks apart in the job, so `domain // stride` of them share
    fast links."""

    size: int
    stride: int = 1

    def inside(self, links: Links) -> int:
        """Ranks of the group in one domain."""
        return max(1, min(self.size, links.domain // self.stride))

    def crosses(self, links: Links) -> bool:
        return self.inside(links) < self.size


def _ring_bytes_per_second(group: Group, links: Links) -> float:
    """A ring through a domain can use the network port of every rank of the group in it, up to the speed of the links."""
    if not group.crosses(links):
        return links.link_bytes_per_second
    return min(links.link_bytes_per_second, links.network_bytes_per_second * group.inside(links))


def all_gather_seconds(payload_bytes: float, group: Group, links: Links) -> float:
    """All-gather or reduce-scatter; `payload_bytes` is the whole (gathered) buffer."""
    if group.size <= 1 or payload_bytes <= 0:
        return 0.0
    share = (group.size - 1) / group.size
    return links.latency_seconds * log2(group.size) / 2 + share * payload_bytes / _ring_bytes_per_second(group, links)


def all_reduce_seconds(payload_bytes: float, group: Group, links: Links) -> float:
    """A reduce-scatter followed by an all-gather."""
    return 2 * all_gather_seconds(payload_bytes, group, links)


def all_to_all_seconds(sent_bytes: float, group: Group, links: Links, copies: float = 1.0) -> float:
    """Every rank sends `sent_bytes` spread evenly over the group.

    `copies`: copies of a token among them, sent to random ranks; those for one domain cross the network once.
    """
    if group.size <= 1 or sent_bytes <= 0:
        return 0.0
    inside = group.inside(links)
    fast = sent_bytes * (inside - 1) / group.size / links.link_bytes_per_second
    if inside == group.size:
        return links.latency_seconds + fast
    domains = ceil(group.size / inside)
    distinct = domains * (1.0 - float((1.0 - 1.0 / domains) ** copies)) / copies
    slow = sent_bytes * (group.size - inside) / group.size * distinct / links.network_bytes_per_second
    return links.latency_seconds + max(fast, slow)


def transfer_seconds(payload_bytes: float, crosses: bool, links: Links) -> float:
    """Point to point, between neighbours of a pipeline."""
    return links.latency_seconds / 4 + payload_bytes / (links.network_bytes_per_second if crosses else links.link_bytes_per_second)
