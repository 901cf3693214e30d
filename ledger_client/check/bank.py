"""One bank on the network: its accounts, what they may do, and the money they do it with.

What is expected is in `ledger_client.roles`. A right counts as held when a wider one is.
"""

import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

from ledger_client.asking import Asking, lacks_permission
from ledger_client.charter import Charter
from ledger_client.check.findings import Finding, Terms, fine, missing, unknown
from ledger_client.ledger import QueryRefused
from ledger_client.roles import RECOVERER_QUORUM, ROLES, WALLET
from ledger_client.rules import DESCRIPTION_BYTES_MAX, PRECISIONS

ACCOUNTS: Final = ("opener", "recoverer", "treasury", "settlement")

_CAN_DO_WITHOUT: Final = "can_get_my_acc_ast"  # a gateway asks for balances as the opener
_READING: Final = re.compile(r"can_get_(my|domain)_(\w+)")
_SCOPES: Final = ("my", "domain", "all")
_LIMIT: Final = "MaxDescriptionSize"
_LOOKING: Final = "can_get_domain_accounts or can_get_domain_signatories"


class BankCheck:
    """Looks at the bank of `domain` with the eyes of its opener, who is `asking`."""

    def __init__(
        self, asking: Asking, charter: Charter, domain: str, asset_domain: str, terms: Terms
    ) -> None:
        self._asking = asking
        self._charter = charter
        self._domain = domain
        self._assets = {
            f"{asset.partition('#')[0]}#{asset_domain}": precision
            for asset, precision in PRECISIONS.items()
        }
        self._terms = terms

    async def findings(self) -> AsyncIterator[Finding]:
        """Say how it stands with everything that a gateway needs."""
        for name in ACCOUNTS:
            yield await self._account(name)
        yield await self._domain_itself()
        for asset_id, precision in self._assets.items():
            yield await self._asset(asset_id, precision)
        yield self._descriptions()

    async def _account(self, name: str) -> Finding:
        account_id = f"{name}@{self._domain}"
        try:
            account = await self._asking.account(account_id)
            keys = await self._asking.signatories(account_id)
        except QueryRefused as refusal:
            return self._not_to_be_seen(account_id, refusal)
        if account is None:
            remedy = f"CreateAccount {name} {self._domain} with {name}.pub, {_append(account_id)}"
            return missing(account_id, "does not exist", remedy)
        wanted = RECOVERER_QUORUM if name == "recoverer" else 1
        if (account.quorum, len(keys) >= wanted) != (wanted, True):
            says = f"{account.quorum} of its {len(keys)} keys must sign, not {wanted}"
            second = " (and AddSignatory with the second key first)" if len(keys) < wanted else ""
            return missing(account_id, says, f"SetAccountQuorum {account_id} {wanted}{second}")
        held = await self._allowed(account.roles)
        if held is None:
            return self._rights_unknown(account_id)
        if lacking := _lacking(held, ROLES[name].permissions):
            remedy = f"{_append(account_id)}, a role that holds what is lacking (CreateRole)"
            return missing(account_id, f"lacks {', '.join(lacking)}", remedy)
        signs = "its key signs" if wanted == 1 else f"{wanted} of its {len(keys)} keys sign"
        return fine(account_id, f"is there, {signs}, its rights suffice")

    async def _domain_itself(self) -> Finding:
        """The default role must suit a wallet, and the opener must hold all of it."""
        about = f"domain {self._domain}"
        role = self._charter.default_roles.get(self._domain)
        if role is None:
            says = "was not made by the first block, and no query tells the default role"
            return unknown(about, f"{says}: open one wallet and see")
        given = await self._allowed([role])
        if given is None:
            return self._rights_unknown(about)
        if lacking := _lacking(given, ROLES[WALLET].permissions):
            says = f"has a default role, {role}, that lacks {', '.join(lacking)}"
            return missing(about, says, "a domain's default role stays: begin with another domain")
        held = await self._opener_holds()
        if held is None:
            return unknown(
                about, f"has default role {role}; whether the opener may give it is not told"
            )
        if "root" not in held and not given <= held:
            says = f"cannot get wallets: the opener does not hold all of its default role, {role}"
            return missing(about, says, _append(f"opener@{self._domain}", role))
        return fine(
            about, f"has a default role, {role}, that suits a wallet and that the opener may give"
        )

    async def _opener_holds(self) -> frozenset[str] | None:
        try:
            opener = await self._asking.account(f"opener@{self._domain}")
        except QueryRefused:
            return None
        return await self._allowed(opener.roles) if opener else None

    async def _asset(self, asset_id: str, wanted: int) -> Finding:
        precision = self._charter.precisions.get(asset_id)
        if precision is None:
            try:
                precision = await self._asking.precision(asset_id)
            except QueryRefused as refusal:
                if not lacks_permission(refusal):
                    raise
                says = "was not made by the first block, and the opener may not ask for it"
                right = f"is {self._terms.asset_domain} right?"
                return unknown(asset_id, f"{says} (can_read_assets): {right}")
        if precision is None:
            name, _, domain = asset_id.partition("#")
            remedy = f"CreateAsset {name} {domain} {wanted}, or correct {self._terms.asset_domain}"
            return missing(asset_id, "does not exist", remedy)
        if precision != wanted:
            says = f"has {precision} decimals, not {wanted}: amounts would be wrong or refused"
            remedy = "an asset's decimals stay: make another asset in a domain of its own"
            return missing(asset_id, says, f"{remedy}, and set {self._terms.asset_domain} to it")
        return fine(asset_id, f"is there, with {precision} decimals")

    def _descriptions(self) -> Finding:
        about, ours = "descriptions", f"our own stay within {DESCRIPTION_BYTES_MAX} bytes"
        limit = self._charter.settings.get(_LIMIT)
        if limit is None:
            return fine(about, f"are not limited by this network; {ours}")
        if not limit.isdecimal() or int(limit) < DESCRIPTION_BYTES_MAX:
            remedy = f"only a first block sets {_LIMIT}: the network must begin anew"
            return missing(about, f"are limited to {limit} bytes; {ours}", remedy)
        return fine(about, f"are limited to {limit} bytes; {ours}")

    async def _allowed(self, roles: Iterable[str]) -> frozenset[str] | None:
        """What these roles allow together; None when it cannot be told."""
        held: frozenset[str] = frozenset()
        for role in roles:
            permissions = self._charter.roles.get(role)
            if permissions is None:
                try:
                    permissions = await self._asking.permissions(role)
                except QueryRefused:
                    return None
            held |= permissions or frozenset()
        return held

    def _not_to_be_seen(self, account_id: str, refusal: QueryRefused) -> Finding:
        if not lacks_permission(refusal):
            raise refusal
        opener = f"opener@{self._domain}"
        remedy = f"{_append(opener)}, a role that holds both (CreateRole)"
        return missing(account_id, f"cannot be looked at: {opener} lacks {_LOOKING}", remedy)

    def _rights_unknown(self, about: str) -> Finding:
        says = "has a role that was not made by the first block, and the opener may not ask for it"
        return unknown(about, f"{says} (can_get_roles)")


def _lacking(held: frozenset[str], wanted: Iterable[str]) -> list[str]:
    if "root" in held:
        return []
    return [it for it in wanted if it != _CAN_DO_WITHOUT and held.isdisjoint(_as_good_as(it))]


def _as_good_as(permission: str) -> set[str]:
    """Itself, and what lets one read the same of more accounts."""
    reading = _READING.fullmatch(permission)
    if reading is None:
        return {permission}
    wider = _SCOPES[_SCOPES.index(reading[1]) :]
    return {f"can_get_{scope}_{reading[2]}" for scope in wider}


def _append(account_id: str, role: str = "") -> str:
    return f"AppendRole {account_id} {role or account_id.partition('@')[0]}"
