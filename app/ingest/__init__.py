"""`truelift ingest`: files of history and pipes of events into the signal topics, each line accepted or dead-lettered."""
