"""What an accelerator and its links can do, and how the labels of a node name it."""

__all__: list[str] = []
