"""Where the work can be done, named without loading torch: the graphics card if there is one, and the processor."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version

import streamlit as st


@st.cache_resource(show_spinner=False)
def devices() -> dict[str, str]:
    """Name of each device in words, by torch's name for it; the first is what "auto" takes."""
    found = {}
    if gpu := _nvidia():
        found["cuda"] = gpu
    elif platform.system() == "Darwin" and platform.machine() == "arm64":
        found["mps"] = "Apple GPU"
    return found | {"cpu": f"CPU, {os.cpu_count()} cores"}


def _nvidia() -> str:
    """The first NVIDIA card's name, where the driver and torch's build can use one."""
    program = shutil.which("nvidia-smi")
    if not program or version("torch").endswith("+cpu"):
        return ""
    try:
        command = [program, "--query-gpu=name", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(listed.stdout.splitlines()), "")
