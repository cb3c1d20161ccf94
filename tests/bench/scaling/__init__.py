"""4 to 8 to 16 partitions under load, with kills of workers and of the command on the way, and what each user saw of it."""
