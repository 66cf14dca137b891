"""Property tests judge results, never the time that a busy machine takes for them."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
