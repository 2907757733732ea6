"""What is wrong with what a person wrote, said so that he can put it right at once.

ConfigProblems(problems)    a configuration or a catalogue that cannot be used
"""

from collections.abc import Iterable

import msgspec


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing to put right.

    `key` is the path in the file (`lots[3].zones[0].capacity`, or `line 4` where the file is not
    TOML at all), `about` the ids around it (`lot-a › general`), `found` what stands there,
    `expected` what would be right. None of them ever holds a secret.
    """

    file: str
    key: str
    found: str
    expected: str
    about: str = ""


class ConfigProblems(Exception):  # noqa: N818 - it carries them all, it is not one error
    """Every problem at once, by file and place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(listing(self.problems))


def within(about: str, name: str) -> str:
    """The ids down to `name`, for `Problem.about`."""
    return f"{about} › {name}" if about and name else about or name


def listing(problems: Iterable[Problem]) -> str:
    """All problems as readable text: one heading a file, three lines a problem."""
    lines: list[str] = []
    file = None
    for problem in problems:
        if problem.file != file:
            file = problem.file
            lines.append(file)
        about = f"  (in {problem.about})" if problem.about else ""
        lines += [
            f"  {problem.key}{about}",
            f"    found     {problem.found}",
            f"    expected  {problem.expected}",
        ]
    return "\n".join(lines)
