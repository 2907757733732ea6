"""What a process has cost."""

import os
from pathlib import Path


def cpu_s(pid: int) -> float | None:
    """Processor seconds that a process has had so far, where the system tells."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
