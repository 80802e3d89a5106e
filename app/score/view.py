"""What Score shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice

SOURCES = {
    "bundled": "Bundled pictures",
    "files": "Upload files or a zip",
    "directory": "Upload a folder",
    "server": "Folder on the server",
    "benchmark": "Benchmarks",
}


@dataclass(frozen=True)
class ScoreView(View):
    """`source` of the pictures to score; `root` is the folder that holds the benchmark sets."""

    source: str = choice(*SOURCES)
    root: str = ""
