"""What a model computes: config.json to architecture to operations with FLOPs, bytes and parameters."""

__all__: list[str] = []
