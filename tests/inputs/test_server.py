"""The app's server is reached from this computer alone, whichever way it is started."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from negrefine_core import paths
from tests.support.browser import free_port, wait_until_up
from tests.support.jobs import HANG
from tests.support.project import ROOT

README_COMMAND = ["-m", "streamlit", "run", str(ROOT / "app" / "main.py"), "--server.port"]
OWN_COMMAND = ["-m", "negrefine_core", "app", "--port"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [README_COMMAND, OWN_COMMAND], ids=["streamlit run", "negrefine app"])
def test_the_server_listens_on_the_loopback_address_alone(command: list[str], tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"NEGREFINE_DATA": str(paths.DATA), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, *command, str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/_stcore/health", server)
        assert listening(server.pid) == {("127.0.0.1", port)}
    finally:
        server.terminate()
        server.wait(HANG)


def listening(pid: int) -> set[tuple[str, int]]:
    """Where a process and those that it started wait for others to connect."""
    server = psutil.Process(pid)
    sockets = [socket for process in (server, *server.children(recursive=True)) for socket in process.net_connections()]
    return {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
