"""The Faust face over the engine room: App, Topic, Table, streams as Faust users know them. Only these modules import it."""
