"""What the checks of a catalogue walk over: entries with their place, and where problems go."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from service.catalog_forms import SiteFile, SiteForm
from service.problems import Problem, within


class SiteFolder(msgspec.Struct, frozen=True):
    """One site as read: its files by path, and a digest of their bytes.

    `whole` is false where a file is no TOML: what it would have said cannot be told.
    """

    id: str
    folder: str
    files: dict[str, SiteFile]
    digest: str
    whole: bool = True

    @property
    def form(self) -> SiteForm:
        return next(one.site for one in self.files.values() if one.site)


class Entry(msgspec.Struct, frozen=True):
    """One form and where it stands: `key` is its path in `file`, `about` the ids down to it."""

    file: str
    key: str
    form: Any
    about: str

    def below(self, table: str) -> Iterator["Entry"]:
        """The entries of one of its lists: a lot's zones, a zone's sensors."""
        for at, form in enumerate(getattr(self.form, table)):
            yield self._child(f"{table}[{at}]", form)

    def single(self, name: str) -> "Entry":
        """The one table `name` of it: a lane's camera."""
        return self._child(name, getattr(self.form, name))

    def _child(self, name: str, form: Any) -> "Entry":
        return Entry(self.file, f"{self.key}.{name}", form, within(self.about, form.id))


def entries(site: SiteFolder, table: str) -> Iterator[Entry]:
    """All entries of one table over the site's files."""
    for path, file in site.files.items():
        for at, form in enumerate(getattr(file, table)):
            yield Entry(path, f"{table}[{at}]", form, getattr(form, "id", ""))


class Findings:
    """Problems found so far; what rests on something already wrong is not reported again."""

    def __init__(self, known: Iterable[Problem]) -> None:
        self.known = [(problem.file, problem.key) for problem in known]
        self.problems: list[Problem] = []

    def add(
        self, entry: Entry, key: str, found: str, expected: str, *, rests_on: tuple[str, ...] = ()
    ) -> None:
        """Report `key` of `entry`, unless it or what it `rests_on` (paths below the entry) is."""
        paths = [_joined(entry.key, one) for one in (key, *rests_on)]
        if not any(self.is_broken(entry.file, path) for path in paths):
            self.problems.append(Problem(entry.file, paths[0], found, expected, entry.about))

    def is_broken(self, file: str, path: str) -> bool:
        """Whether anything at or below `path` was already found wrong."""
        return any(
            known_file == file and (key == path or key.startswith((f"{path}.", f"{path}[")))
            for known_file, key in self.known
        )


def one_of(found: str, known: Iterable[str], what: str) -> str:
    """What a reference should name: the nearest id there is, or how many there are."""
    known = sorted(known)
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    if near:
        return f"{what}: `{near[0]}`?"
    if len(known) <= 8:
        return f"{what}: " + (", ".join(known) or "there is none yet")
    return f"{what} ({len(known)} of them, like {known[0]})"


def quoted(text: object) -> str:
    return f'"{text}"'


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if name else key
