"""The network of the settings, looked at and told: to people as it is found out, or as JSON.

What is looked at, and what is said of it, is decided in `ledger_client.check`.
"""

import json
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape

from gateway.app import certificates_of, key_of, trust_of
from gateway.clock import Clock, SystemClock
from gateway.config import PREFIX, Settings
from gateway.desk.times import to_ms
from ledger_client.check import Finding, Network, State, Terms, check

TERMS: Final = Terms(
    peers=f"{PREFIX}LEDGER_PEERS",
    certificates=f"{PREFIX}LEDGER_CA_FILE",
    genesis=f"{PREFIX}LEDGER_GENESIS_FILE",
    peer_keys=f"{PREFIX}LEDGER_PEER_KEYS",
    domain=f"{PREFIX}BANK_DOMAIN",
    asset_domain=f"{PREFIX}ASSET_DOMAIN",
    opener_key=f"{PREFIX}OPENER_KEY_FILE",
)
SIGNS: Final = {
    State.FINE: "[green]✓[/]",
    State.MISSING: "[red]✗[/]",
    State.UNKNOWN: "[yellow]?[/]",
}


async def look(
    settings: Settings,
    *,
    probe: bool = False,
    shown: bool = False,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
) -> list[Finding]:
    """Find everything out; with `shown`, tell each finding as soon as it is there."""
    console = Console(highlight=False, soft_wrap=True)
    looking = check(
        network_of(settings), now_ms=lambda: to_ms(clock.now()), terms=TERMS, probing=probe
    )
    findings = []
    async for finding in looking:
        findings.append(finding)
        if shown:
            _show(console, finding)
    return findings


def network_of(settings: Settings) -> Network:
    """The network as the gateway itself is told of it."""
    return Network(
        settings.ledger_peers,
        settings.bank_domain,
        settings.asset_domain,
        key_of("OPENER_KEY_FILE", settings.opener_key_file),
        trust_of(settings),
        certificates_of(settings.ledger_ca_file),
    )


def is_fit(findings: Sequence[Finding]) -> bool:
    """Is nothing missing?"""
    return all(finding.state is not State.MISSING for finding in findings)


def machine_readable(findings: Sequence[Finding]) -> str:
    """The same as JSON."""
    told = [
        {
            "about": finding.about,
            "state": finding.state.value,
            "says": finding.says,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]
    return json.dumps({"fit": is_fit(findings), "findings": told}, indent=2, ensure_ascii=False)


def _show(console: Console, finding: Finding) -> None:
    about, says = escape(finding.about), escape(finding.says)
    console.print(f"{SIGNS[finding.state]} [bold]{about}[/] {says}")
    if finding.remedy:
        console.print(f"  → {escape(finding.remedy)}")
