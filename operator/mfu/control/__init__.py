"""The processes that run in a cluster; the only place that knows Kopf, Kubernetes, asyncio and threads."""

__all__: list[str] = []
