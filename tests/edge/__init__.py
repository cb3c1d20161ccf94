"""The edge, from the wire to the topic."""
