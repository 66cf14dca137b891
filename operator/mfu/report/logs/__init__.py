"""Training logs: one file a framework, from lines to records."""

__all__: list[str] = []
