"""npm packages of exactly the versions of a package.json, installed once into the user's cache for all runs on this machine."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

INSTALL_SECONDS = 300
MISSING = shutil.which("node") is None or shutil.which("npm") is None


def installed(package: Path, name: str) -> Path:
    """The folder with node_modules. package: the package.json."""
    wanted = package.read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "truelift"
    folder = cache / f"{name}-{hashlib.sha256(wanted).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once
        if not (folder / "installed").exists():
            (folder / "package.json").write_bytes(wanted)
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS)
            (folder / "installed").touch()
    return folder
