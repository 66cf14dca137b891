"""Topology of the cluster from node labels, and where a gang should go."""

__all__: list[str] = []
