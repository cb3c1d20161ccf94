"""Properties are judged by their answer, not by the clock: a busy machine must not fail them."""

from hypothesis import settings

settings.register_profile("truelift", deadline=None)
settings.load_profile("truelift")
