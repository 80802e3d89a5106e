"""The most memory that this process has held."""

import resource
import sys

UNIT = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes


def peak_memory() -> int:
    """In bytes, since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
