"""Expected against observed: admission verdict, drift, diagnosis, recommendations, money and roll-up."""

__all__: list[str] = []
