"""What a process keeps for good: passed by by the garbage collector, and on large pages."""

import ctypes
import errno
import gc
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

YOUNG_OBJECTS = 10_000  # between two looks for garbage: an answer or a batch makes hundreds
WORTH_BYTES = 32 << 20  # less than that, the processor finds without large pages
RESIDENT_SHARE = 0.75  # of an area; what is not there yet would be made
MADV_COLLAPSE = 25  # Linux 6.1
PAGE_SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spare_what_stands() -> threading.Thread:
    """Let the garbage collector pass by what was made until now, and put it on large pages.

    To be called once the parts of a process stand. Looking through all of a city's catalogue takes
    the collector some 50 ms, in which a gate or a sign would wait. And a city's catalogue lies on
    some 40,000 pages of 4 KB, of which the processor knows the way to 2,000: a message of one of
    100,000 zones would ask for several that it does not. The returned thread moves them, beside
    the loop, and ends.
    """
    gc.unfreeze()  # what stood before, where a catalogue was loaded anew
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    mover = threading.Thread(target=_use_large_pages, name="large pages", daemon=True)
    mover.start()
    return mover


def _use_large_pages() -> None:
    """Ask Linux for large pages where much is kept; where it has none, all stays as it is.

    One page a call: neither Python's lock nor the kernel's on our memory is held for longer than
    that takes, a millisecond or two. Source: madvise(2), MADV_COLLAPSE.
    """
    try:
        size = int(PAGE_SIZE.read_text())
        with Path("/proc/self/smaps").open() as told:
            areas = list(_kept(told))
    except OSError:
        return  # a kernel without them, or one that does not say
    if _libc is None or sum(end - start for start, end in areas) < WORTH_BYTES:
        return
    for start, end in areas:
        for page in range(-(-start // size) * size, end - size + 1, size):
            failed = _libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(size), MADV_COLLAPSE)
            if failed and ctypes.get_errno() == errno.ENOMEM:
                return  # there are no more to be had


def _kept(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The areas (start, end) that are ours alone and mostly used: the heap, but no stack or file.

    `smaps`: lines as of proc_pid_smaps(5).
    """
    start, end, ours = 0, 0, False
    for line in smaps:
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(edge, 16) for edge in words[0].split("-"))
            ours = words[1] == "rw-p" and (len(words) == 5 or words[5] == "[heap]")
        elif ours and words[0] == "Rss:" and int(words[1]) << 10 >= RESIDENT_SHARE * (end - start):
            yield start, end
