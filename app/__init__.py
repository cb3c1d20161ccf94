"""Truelift: governed, replayable decisions on behavioural event topics."""
