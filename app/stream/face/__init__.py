"""The Faust face over the engine room: App, Topic, Table and streams as Faust users know them. The only rooms that import Faust."""
