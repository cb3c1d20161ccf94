"""`truelift deadletter`: what could not be accepted, and why; and its way back after a fix, once."""
