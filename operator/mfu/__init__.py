"""Model FLOP utilisation as a control-plane signal: expected, observed, and what to do about the difference."""

__all__ = ["__version__"]
__version__ = "0.1.0"
