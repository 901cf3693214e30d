"""`@going()`: a fixture on the one event loop that all tests of this folder share.

So Chromium, and what drives it, is started once and not for each test.
"""

from functools import partial

import pytest_asyncio

going = partial(pytest_asyncio.fixture, loop_scope="session")
