"""What a server does when it starts."""

import os
import time

from core.files import ABANDONED_S
from tests.helpers.waiting import wait_until


def test_files_that_a_crash_left_half_written_are_removed(own_workspace, request):
    old, new = (own_workspace / "media" / f".{digit * 32}.partial" for digit in "01")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - ABANDONED_S - 60,) * 2)
    request.getfixturevalue("server")
    wait_until(lambda: not old.exists())
    assert new.exists()
