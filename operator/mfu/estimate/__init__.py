"""How fast a declared workload should run on given accelerators, with bounds and a breakdown."""

__all__: list[str] = []
