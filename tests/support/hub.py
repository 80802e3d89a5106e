"""Hugging Face's hub on loopback: it serves the files of one repository, and can cut, slow down, damage and refuse."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 1 << 16


@dataclass
class Hub:
    """`cut` ends each answer after so many bytes, `pause` waits so many seconds before each block; `asked` has the
    ranges of the bodies that were asked for."""

    folder: Path
    repository: str
    url: str = ""
    cut: int | None = None
    pause: float = 0.0
    ignores_ranges: bool = False
    damages: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def hub(folder: Path, repository: str) -> Iterator[Hub]:
    """The hub with the files of a folder as its one repository."""
    state = Hub(folder, repository)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._head(self._file())

        def do_GET(self) -> None:
            file = self._file()
            wanted = self.headers.get("Range", "")
            state.asked.append((self.path.rsplit("/", 1)[-1], wanted))
            start = 0 if state.ignores_ranges or not wanted else int(wanted.removeprefix("bytes=").rstrip("-"))
            if not self._head(file, start) or not file:
                return
            content = file.read_bytes()[start:][: state.cut]
            if state.damages:
                content = bytes(len(content))
            for place in range(0, len(content), BLOCK):
                time.sleep(state.pause)
                self.wfile.write(content[place : place + BLOCK])
            self.close_connection = True

        def _file(self) -> Path | None:
            prefix = f"/{state.repository}/resolve/main/"
            file = state.folder / self.path.removeprefix(prefix)
            return file if self.path.startswith(prefix) and file.is_file() else None

        def _head(self, file: Path | None, start: int = 0) -> bool:
            self.send_response(404 if not file else 206 if start else 200)
            if not file:
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False
            content = file.read_bytes()
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            return True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
