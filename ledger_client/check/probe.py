"""One harmless transaction: the opener writes the time on its own account.

It needs no right, moves nothing, and goes the whole way that a payment goes: so it tells whether
the network takes our signatures and makes blocks, and how fast. It stays in the chain for ever.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from ledger_client.check.findings import Finding, fine, missing, spoken
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import LedgerUnreachable, SetAccountDetail, Signed, TxStatus, Verdict
from ledger_client.transaction import build

DETAIL: Final = "ledger_check"


async def probe(
    ledger: Iroha1,
    opener: str,
    key: SigningKey,
    now_ms: int,
    *,
    patience_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Finding:
    """Send it, and wait for its end no longer than `patience_s`."""
    signed = build(opener, [SetAccountDetail(opener, DETAIL, str(now_ms))], now_ms, key=key)
    began = monotonic()
    try:
        async with asyncio.timeout(patience_s):
            await ledger.submit([signed.data])
            last = await _end(ledger, signed)
    except LedgerUnreachable as unreachable:
        return missing("probe", f"could not be sent: {unreachable}", "see the peers above")
    except TimeoutError:
        says = f"was sent, and is in no block after {patience_s:g} s; it may yet be, harmlessly"
        return missing("probe", says, "too few peers agree, or they are stuck: see above")
    if last.verdict is Verdict.COMMITTED:
        took = spoken((monotonic() - began) * 1000)
        return fine("probe", f"was sent and committed after {took}")
    says = f"{last.verdict.value}: {last.text or 'no reason told'} (code {last.code})"
    return missing("probe", f"was sent and not committed: {says}", "see the peers' logs")


async def _end(ledger: Iroha1, signed: Signed) -> TxStatus:
    """The last word on it, with the reason that was told before it."""
    last = TxStatus(signed.tx_hash, Verdict.UNKNOWN)
    async with aclosing(ledger.watch(signed.tx_hash)) as statuses:
        async for status in statuses:
            last = status if status.text else replace(last, verdict=status.verdict)
            if last.final or last.verdict is Verdict.INVALID:
                break
    return last
