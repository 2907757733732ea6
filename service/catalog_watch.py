"""The catalogue's files while the service runs: the next catalogue once they changed for good."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from service.catalog import Catalog
from service.catalog_file import reload_catalog
from service.problems import ConfigProblems

LOOK_EVERY_S = 2.0

log = structlog.get_logger()


async def changed_catalog(
    folders: Iterable[str | Path], current: Catalog, look_every_s: float = LOOK_EVERY_S
) -> Catalog:
    """Returns the first catalogue of `folders` that differs from `current`.

    Files that cannot be used are told in the log, with what would be right, and what was loaded
    stands until they can. A file is looked at once it has rested from one look to the next.
    """
    places = [Path(folder) for folder in folders]
    read = seen = await asyncio.to_thread(_stamps, places)
    while True:
        await asyncio.sleep(look_every_s)
        before, seen = seen, await asyncio.to_thread(_stamps, places)
        if seen in (read, frozenset()) or seen != before:
            continue
        read = seen
        try:
            catalog = await asyncio.to_thread(reload_catalog, places, current)
        except (ConfigProblems, OSError) as problems:
            log.warning("catalogue not reloaded", problems=str(problems))
            continue
        if catalog is not current:
            return catalog


def _stamps(folders: list[Path]) -> frozenset[tuple[str, int, int]]:
    """Every file with when it was written and its size; nothing where one is just being changed."""
    try:
        told = [
            (str(path), (stat := path.stat()).st_mtime_ns, stat.st_size)
            for folder in folders
            for path in folder.glob("*.toml")
        ]
    except OSError:
        return frozenset()
    return frozenset(told)
