"""`truelift` as a module, for a child process of the benchmark."""

from app.cli import main

if __name__ == "__main__":
    main()
