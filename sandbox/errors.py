"""What the sandbox raises."""

__all__ = ["SandboxError"]


class SandboxError(Exception):
    """Something the sandbox needs is missing, failed or did not become ready.

    The message says what, where and what to do, so that a command line can print it as it is.
    """
