"""The wire: pydantic models of the custom resources, their CRDs, and the way from wire to domain and back into a status."""

__all__: list[str] = []
