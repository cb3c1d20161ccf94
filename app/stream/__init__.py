"""The stream room: the Faust face, the exactly-once engine room under it, and the embedded broker."""
