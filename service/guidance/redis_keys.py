"""Every key that guidance keeps in Redis; the braces keep a shard's keys on one node of a cluster.

bowei:{N}:visit:<visit>      the lot that a visit's car is heading for
bowei:{N}:coming             sorted set: "<visit> <lot>" by arrival, POSIX seconds
bowei:{N}:followers          hash: sign -> {"until_s", "cars": {lot: cars}}
bowei:{N}:coming:version     grows with each change of the two above
bowei:{board}:revisions      hash: sign -> the highest revision that was reserved
"""

import zlib
from typing import Final

REVISIONS: Final = "bowei:{board}:revisions"


def shard_of(name: str, shards: int) -> int:
    return zlib.crc32(name.encode()) % shards


def visit(shard: int, visit_id: str) -> str:
    return f"bowei:{{{shard}}}:visit:{visit_id}"


def coming(shard: int) -> str:
    return f"bowei:{{{shard}}}:coming"


def followers(shard: int) -> str:
    return f"bowei:{{{shard}}}:followers"


def coming_version(shard: int) -> str:
    return f"bowei:{{{shard}}}:coming:version"
