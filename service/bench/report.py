"""What every benchmark prints: a readable table, or one JSON object."""

import os
import platform
from pathlib import Path

import click
import msgspec

Cell = str | int | float | None


class Report(msgspec.Struct):
    """`rows` share their keys, units last in each name; `ratios` are what the bars speak of."""

    bench: str
    rows: list[dict[str, Cell]]
    ratios: dict[str, float]
    notes: list[str] = []
    machine: dict[str, Cell] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = self.machine or this_machine()


def this_machine() -> dict[str, Cell]:
    """What the numbers were taken on, without naming the machine."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def publish(report: Report, *, as_json: bool) -> None:
    """Print `report` on standard output."""
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    click.secho(f"bowei bench {report.bench}", bold=True)
    click.echo("  ".join(f"{key}: {value}" for key, value in report.machine.items()))
    if report.rows:
        click.echo(_table(report.rows))
    for name, ratio in report.ratios.items():
        click.echo(f"{name:32} {ratio:.3f}")
    for note in report.notes:
        click.echo(f"note: {note}")


def _table(rows: list[dict[str, Cell]]) -> str:
    heads = list(rows[0])
    cells = [heads, *[[_shown(row.get(head)) for head in heads] for row in rows]]
    widths = [max(len(line[at]) for line in cells) for at in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _shown(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
