"""The stream room: the Faust face, the exactly-once engine room under it, the embedded broker, topic administration."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.stream.config import StreamSettings
    from app.stream.face.app import App

__all__ = ["App", "StreamSettings"]


def __getattr__(name: str) -> Any:
    # On demand: the broker's commands must not load Faust.
    if name == "App":
        from app.stream.face.app import App

        return App
    if name == "StreamSettings":
        from app.stream.config import StreamSettings

        return StreamSettings
    raise AttributeError(name)
