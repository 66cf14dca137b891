"""The local cluster of demo and tests: a real control plane and real monitoring on loopback, with simulated GPU nodes."""

__all__: list[str] = []
