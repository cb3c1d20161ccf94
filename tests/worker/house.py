"""The installation of these tests is that of the fire drill."""

from app.chaos.house import House, house_of

__all__ = ["House", "house_of"]
