"""Every exception the package raises on purpose.

MfuError
├── IntentError            the declared intent cannot be used; carries the field path
│   ├── ConfigError        … because of the model's config.json
│   └── UnknownName        … because a name (accelerator class, catalogued model) is not known; carries the nearest known names
├── DataError              a data file shipped with the package is wrong
├── MetricsError           Prometheus could not answer
└── ClusterError           the Kubernetes API could not answer

They are mapped once at the rim: the CLI prints one line on stderr and exits with 2, the reconciler writes a condition, the webhook refuses.
"""

__all__ = ["ClusterError", "ConfigError", "DataError", "IntentError", "MetricsError", "MfuError", "UnknownName"]


class MfuError(Exception):
    """Base of the tree; `str()` of it is a message for a person: what, where, and what to do."""


class IntentError(MfuError):
    """A declared value cannot be used. `path` is the field path in the object (`spec.training.parallelism.tensor`)."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class ConfigError(IntentError):
    """A Hugging Face config.json that does not describe a model we can count; names the offending or missing keys."""


class UnknownName(IntentError):
    """A name that is in no catalogue; `nearest` are the closest known names, best first."""

    def __init__(self, path: str, message: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(path, message + (f"; the nearest known are {', '.join(nearest)}" if nearest else ""))
        self.nearest = nearest


class DataError(MfuError):
    """A data file of the package or of the provider is malformed; names the file and the key."""


class MetricsError(MfuError):
    """Prometheus did not give a usable answer; says what it answered instead."""


class ClusterError(MfuError):
    """The Kubernetes API did not give a usable answer; says what was asked.

    `status`: the HTTP status of the answer, 0 when there was none; `retry_after_seconds`: how long the server asked to wait.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
