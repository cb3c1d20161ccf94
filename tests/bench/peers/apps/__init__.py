"""The counter job written for each peer. Each takes one JSON argument (job.Job) and runs until SIGTERM."""
