"""What stands is passed by by the collector and lies on large pages, and the loop does not wait."""

import ctypes
import errno
import mmap
import subprocess
import sys
import textwrap
import threading

import pytest

from service import memory

SMAPS = """\
00400000-00500000 r-xp 00000000 fe:00 1                                  /usr/bin/python3
Rss:                1024 kB
01000000-05000000 rw-p 00000000 00:00 0                                  [heap]
Size:              65536 kB
Rss:               65536 kB
VmFlags: rd wr mr mw me ac
7f0000000000-7f0004000000 rw-p 00000000 00:00 0 
Rss:               49152 kB
7f0010000000-7f0014000000 rw-p 00000000 00:00 0 
Rss:               49148 kB
7f0020000000-7f0024000000 rw-s 00000000 00:01 7                          /dev/zero
Rss:               65536 kB
7f0030000000-7f0034000000 rw-p 00000000 fe:00 9                          /usr/lib/libc.so.6
Rss:               65536 kB
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
Rss:                4096 kB
"""  # noqa: W291 - as the kernel writes it
PROBE = """
    import gc, os, sys
    from pathlib import Path
    from service.memory import spare_what_stands

    def large_kb():
        told = Path("/proc/self/smaps_rollup").read_text()
        return int(told.partition("AnonHugePages:")[2].split()[0])

    kept = [bytes(48) for _ in range({objects})]
    before = large_kb()
    spare_what_stands().join()
    assert gc.get_freeze_count() > 0
    print(before, large_kb(), len(kept))
"""


def large_kb(objects: int) -> tuple[int, int]:
    """Memory on large pages before and after, of a process that keeps so many objects."""
    code = textwrap.dedent(PROBE.format(objects=objects))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    before, after, _ = map(int, done.stdout.split())
    return before, after


def gives_large_pages() -> bool:
    """Whether this kernel gives them on request: it may be too old, or have none left."""
    if not memory.PAGE_SIZE.exists():
        return False
    size = int(memory.PAGE_SIZE.read_text())
    with mmap.mmap(-1, 2 * size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.write(b"x" * 2 * size)
        held = ctypes.c_char.from_buffer(area)
        page = -(-ctypes.addressof(held) // size) * size
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(size), memory.MADV_COLLAPSE)
        del held
    return not failed


def test_much_that_stands_is_put_on_large_pages_where_there_are_any():
    _, after = large_kb(objects=1_000_000)
    assert after > 32 << 10 or not gives_large_pages()


def test_only_areas_of_our_own_that_are_used_are_moved():
    assert list(memory._kept(SMAPS.splitlines())) == [
        (0x01000000, 0x05000000),
        (0x7F0000000000, 0x7F0004000000),
    ]


def test_the_caller_does_not_wait(monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(memory, "_use_large_pages", go_on.wait)
    mover = memory.spare_what_stands()
    assert mover.is_alive()
    go_on.set()
    mover.join(10)
    assert not mover.is_alive()


def test_a_system_without_large_pages_is_no_trouble(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PAGE_SIZE", tmp_path / "missing")
    memory._use_large_pages()
    monkeypatch.setattr(memory, "PAGE_SIZE", tmp_path)  # there, but not to be read
    memory._use_large_pages()
    monkeypatch.undo()
    monkeypatch.setattr(memory, "_libc", None)
    memory._use_large_pages()


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What was asked of a kernel that has no large page left."""
    asked = []

    class Kernel:
        def madvise(self, address, size, advice):
            asked.append((address.value, size.value, advice))
            ctypes.set_errno(errno.ENOMEM)
            return -1

    page_size = tmp_path / "size"
    page_size.write_text("4096\n")
    monkeypatch.setattr(memory, "PAGE_SIZE", page_size)
    monkeypatch.setattr(memory, "_libc", Kernel())
    return asked


def test_it_stops_where_there_are_no_more(asked, monkeypatch):
    monkeypatch.setattr(memory, "WORTH_BYTES", 0)
    memory._use_large_pages()
    assert len(asked) == 1
    assert asked[0][0] % 4096 == 0


def test_little_stays_where_it_is(asked, monkeypatch):
    monkeypatch.setattr(memory, "WORTH_BYTES", 1 << 50)
    memory._use_large_pages()
    assert asked == []
