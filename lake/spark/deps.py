"""Unpacks the archive of locked dependencies that travels with a job.

botocore reads its service descriptions through the file system, so it cannot be imported from inside a zip; and the subnets that
jobs run in can install nothing.
"""

import atexit
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

MARKER = "tributary-deps.txt"  # stacks.packages puts it into the archive


def unpack() -> None:
    """Puts the archive's content first on sys.path, if such an archive was handed over; otherwise leaves sys.path alone."""
    for entry in list(sys.path):
        path = Path(entry)
        if not (path.is_file() and zipfile.is_zipfile(path)):
            continue
        with zipfile.ZipFile(path) as archive:
            if MARKER in archive.namelist():
                target = tempfile.mkdtemp(prefix="tributary-deps-")
                atexit.register(shutil.rmtree, target, ignore_errors=True)
                archive.extractall(target)
                sys.path.insert(0, target)
                return
