"""`truelift worker` as a module, for a child process of the benchmark."""

from agents.commands import worker

if __name__ == "__main__":
    worker(log_level="error", respawn=False)  # called as a function, the option would be typer's own object, which is true
