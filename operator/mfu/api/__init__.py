"""The wire: pydantic models of the custom resources, their CRDs, and the way from wire to domain."""

__all__: list[str] = []
