"""How fast workloads do run, read from Prometheus."""

__all__: list[str] = []
