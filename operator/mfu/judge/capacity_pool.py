"""The accelerators of one class, by how many are free on a node; taken deterministically."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mfu.hardware.accelerator import Accelerator
from mfu.missing import Missing

__all__ = ["Pool", "Room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Nodes of one class. `free_nodes`: number of nodes by how many accelerators of theirs can be requested (`{8: 64}`).

    `price_micros`: what tenants pay for one, an hour; `cost_micros`: what it costs the provider.
    """

    accelerator: Accelerator
    per_node: int
    nodes: Mapping[int, int]
    price_micros: int | Missing
    cost_micros: int | Missing

    @property
    def total(self) -> int:
        return sum(size * count for size, count in self.nodes.items())

    @property
    def hourly_micros(self) -> int | Missing:
        """The provider's own cost of one accelerator, else the price of it."""
        return self.price_micros if isinstance(self.cost_micros, Missing) else self.cost_micros


@dataclass(slots=True, kw_only=True)
class Room:
    """What is free on the nodes of a pool while demands are admitted one by one."""

    per_node: int
    nodes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool) -> "Room":
        return cls(per_node=pool.per_node, nodes={size: count for size, count in pool.nodes.items() if size > 0 and count > 0})

    @property
    def free(self) -> int:
        return sum(size * count for size, count in self.nodes.items())

    def take(self, accelerators: int, instances: int) -> int:
        """Takes as many of `instances` as fit, and says how many: whole nodes first, the rest from the fullest node that has room."""
        whole, rest = divmod(accelerators, self.per_node)
        taken = 0
        while taken < instances and self._take_one(whole, rest):
            taken += 1
        return taken

    def _take_one(self, whole: int, rest: int) -> bool:
        if self.nodes.get(self.per_node, 0) < whole:
            return False
        if whole:
            self._move(self.per_node, 0, whole)
        if rest:
            size = min((size for size, count in self.nodes.items() if size >= rest and count > 0), default=0)
            if not size:
                if whole:
                    self.nodes[self.per_node] = self.nodes.get(self.per_node, 0) + whole
                return False
            self._move(size, size - rest, 1)
        return True

    def _move(self, before: int, after: int, count: int) -> None:
        self.nodes[before] -= count
        if after:
            self.nodes[after] = self.nodes.get(after, 0) + count
