"""One module a verb of the mfu command."""

__all__: list[str] = []
