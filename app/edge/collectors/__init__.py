"""One module for each protocol: its paths, where its key is, what its events are, and what its SDKs want to hear."""
