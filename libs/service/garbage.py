"""This file looks for garbage in small portions, so that no message waits for a look at everything.

Left to itself the interpreter looks at what is young when more was made than freed; where caches turn over that is seldom, and by
then a look takes tens of milliseconds. Most of what we make is freed without any look: only what refers to itself is not.
"""

import gc
import sys

from libs.timesource import TimeSource

EVERY = 0.2
"""Seconds between looks at what was made since the last one; one takes a few milliseconds under full load."""
OLDER_AFTER = 500
"""Looks after which what outlived one of them is looked at too."""
ALL_AT = 2.0
"""So many times the memory that was left by the last look at everything makes another worth while."""


async def collect(time: TimeSource) -> None:
    """For ever, instead of the interpreter. What lives when it begins is never looked at."""
    gc.collect()
    gc.freeze()
    gc.disable()
    left, looks = sys.getallocatedblocks(), 0
    try:
        while True:
            await time.sleep(EVERY)
            looks += 1
            if looks % OLDER_AFTER:
                gc.collect(0)
            elif sys.getallocatedblocks() < ALL_AT * left:
                gc.collect(1)
            else:
                gc.collect()
                left = sys.getallocatedblocks()
    finally:
        gc.enable()
