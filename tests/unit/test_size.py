"""Files and functions stay small enough to be read at one sitting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("service", "devices", "tests") for path in (ROOT / folder).rglob("*.py")
)
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 70


def too_long(text: str) -> list[str]:
    """What in one file's text is longer than the house allows."""
    lines = len(text.splitlines())
    found = [f"{lines} lines, at most {MOST_FILE_LINES}"] if lines > MOST_FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                found.append(f"{node.name}: {length} lines, at most {MOST_FUNCTION_LINES}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_rule_sees_a_long_function_and_a_long_file():
    function = "def f():\n" + "    x = 1\n" * MOST_FUNCTION_LINES
    assert too_long(function) == [f"f: {MOST_FUNCTION_LINES + 1} lines, at most 70"]
    assert too_long("x = 1\n" * 400) == []
    assert too_long("x = 1\n" * 401) == ["401 lines, at most 400"]
