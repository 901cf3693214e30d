"""Moving all sealed keys to the newest key-encryption key, as an operator asks: `kek reseal`."""

from collections.abc import Callable
from typing import Final

from gateway.clock import system_entropy
from gateway.config import Settings
from gateway.desk.rotation import count_older, rotate
from gateway.kek import Kek
from gateway.serve import require_schema
from gateway.stores.runners import open_sql
from gateway.vault import Vault

SHOWN_MOST: Final = 10
TOLD_EVERY: Final = 5000  # keys


class NotAllMoved(ValueError):
    """Some keys are under an older version still; the message says whose and what to do."""


async def rekey(settings: Settings, say: Callable[[str], None]) -> None:
    """Move every key to the newest version in the file; raises `NotAllMoved`."""
    require_schema(settings)
    kek = Kek.load(settings.kek_file)
    sql = open_sql(settings.database_url, threads=1)
    try:
        (older,) = await sql.run(count_older, [kek.newest], only_reads=True)
        said = 0

        def told(moved: int) -> None:
            nonlocal said
            if moved >= said + TOLD_EVERY:
                said = moved
                say(f"moved {moved} of {max(moved, older)} keys")

        rotated = await rotate(sql, Vault(kek, system_entropy, None), told)
        (left,) = await sql.run(count_older, [kek.newest], only_reads=True)
    finally:
        await sql.close()
    if rotated.stuck:
        shown = ", ".join(rotated.stuck[:SHOWN_MOST])
        raise NotAllMoved(f"{len(rotated.stuck)} keys cannot be opened and stay, of {shown}")
    if left:
        raise NotAllMoved(f"{left} keys were sealed by an older version meanwhile: run it again")
    say(f"every key is under version {kek.newest}; {rotated.moved} were moved")
