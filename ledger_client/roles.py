"""Who may do what on the network: one role for each kind of account, and why each right is in it.

As narrow as Iroha 1 allows. The genesis block is written from this table, `check` compares a
network with it, and `NETWORK.md` is generated from it. No protobuf and no network here; a name
that the schema does not know is caught when the genesis block is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

CURRENCY_DOMAIN: Final = "nbc"
ISSUER: Final = f"issuer@{CURRENCY_DOMAIN}"
WALLET: Final = "wallet"
RECOVERER_QUORUM: Final = 2


@dataclass(frozen=True, slots=True)
class Role:
    """Who holds a role, and what each of its permissions is for."""

    held_by: str
    reasons: Mapping[str, str]

    @property
    def permissions(self) -> tuple[str, ...]:
        return tuple(self.reasons)


_PAID: Final = {"can_receive": "is paid", "can_transfer": "pays"}
_OWN_BALANCE: Final = {"can_get_my_acc_ast": "reads its own balance"}

ROLES: Final[Mapping[str, Role]] = {
    WALLET: Role(
        "every wallet: the default role of a bank's domain",
        {
            **_PAID,
            "can_add_signatory": "replaces its own key: the new one in …",
            "can_remove_signatory": "… and the old one out, in one transaction",
            "can_grant_can_add_my_signatory": "lets the recoverer do the same: the new key in …",
            "can_grant_can_remove_my_signatory": "… and the old one out, when a PIN is forgotten",
            **_OWN_BALANCE,
        },
    ),
    "opener": Role(
        "`opener@<bank>`, beside `wallet`",
        {
            "can_create_account": "opens wallets",
            "can_get_blocks": "reads every block: what is settled, and what other openers publish",
            "can_get_peers": "compares the network's peers with those it trusts",
            "can_get_domain_accounts": "looks whether its own bank's accounts are as planned",
            "can_get_domain_signatories": "looks which key its own bank's wallets have",
            "can_get_domain_acc_ast": "compares its own bank's balances with its books",
            "can_get_all_acc_detail": (
                "reads what other banks' openers published before the block it began after"
            ),
        },
    ),
    "recoverer": Role(
        "`recoverer@<bank>`",
        {"can_get_domain_signatories": "looks which key it is about to replace"},
    ),
    "treasury": Role("`treasury@<bank>`", {**_PAID, **_OWN_BALANCE}),
    "settlement": Role("`settlement@<bank>`", {**_PAID, **_OWN_BALANCE}),
    "issuer": Role(
        f"`{ISSUER}`: the default role of `{CURRENCY_DOMAIN}`",
        {
            "can_add_domain_asset_qty": f"mints the currencies of `{CURRENCY_DOMAIN}`, no others",
            "can_subtract_domain_asset_qty": "burns them",
            "can_receive": "takes back what it will burn",
            "can_transfer": "hands out what it minted",
            **_OWN_BALANCE,
        },
    ),
}

_PAGE: Final = f"""\
# Who may do what on the ledger

Generated from `roles.py` by `ussd-gateway ledger network-page > ledger_client/NETWORK.md`.

A member bank is a domain. `ussd-gateway ledger genesis` writes a network of such banks, and
`ussd-gateway ledger check` says what another network lacks of it.

## Accounts

| account | what it is | who signs |
|---|---|---|
| `85512345678@<bank>` | the wallet of the first holder of a number | its owner, by PIN |
| `85512345678_2@<bank>` | the wallet of the next holder, after the number was recycled | likewise |
| `opener@<bank>` | opens wallets, reads blocks; online, so it holds no money, no grants | \
the gateway |
| `recoverer@<bank>` | replaces a wallet's key when its PIN is forgotten | \
{RECOVERER_QUORUM} keys of {RECOVERER_QUORUM}: other hosts, other people |
| `treasury@<bank>` | the bank's own money | the bank |
| `settlement@<bank>` | where wallets' money crosses to and from bank accounts | the bank |
| `{ISSUER}` | mints and burns riel and dollars | the central bank |

## Roles

Each account has the role of its name and no other, but for the opener, which also keeps `{WALLET}`.

| role | held by | permission | it |
|---|---|---|---|
{{rows}}

## Money for bank accounts

A wallet pays into an account at any member bank by a transfer to that bank's `settlement@<bank>`,
described as `<ref> ACC <number>`: eight characters that name the payment, then 6 to 20 digits. The
bank credits the account of that number. What it cannot credit it transfers back to the wallet the
money came from. Every bank can read a description, so it holds no name.

A payment to a wallet is described by its ref alone: receipts at both banks name it so. Of any other
description nothing is shown: such a payment is named by the first eight digits of its hash.

## What Iroha 1 makes wider than one would wish

- **CreateAccount** demands that its creator itself holds every permission of the new account's
  default role. So the opener keeps the role `{WALLET}`, and could receive and send; it is never
  given money, and no wallet grants it anything.
- **can_create_account** is for every domain. An opener could open a wallet in another bank's
  domain, whose default role it holds too, but none in `{CURRENCY_DOMAIN}`, whose default role it \
does not hold.
- **can_get_blocks** is for whole blocks: every bank sees every transfer between account ids. For
  the same reason `can_get_all_acc_detail` tells an opener nothing new: each detail was in a block.
- Writing a detail on **one's own account** needs no permission. That is how openers publish.
- No account may add peers, banks, roles or permissions. A network that is to grow needs a
  governing account in its genesis block, and a rule outside the ledger of who holds its keys.
- Commands of the genesis block are carried out without asking for permission; the limit on
  descriptions can be set only there.
"""


def network_page() -> str:
    """Write `NETWORK.md` anew."""
    return _PAGE.replace("{rows}", "\n".join(_rows()))


def _rows() -> Iterator[str]:
    for name, role in ROLES.items():
        title = f"`{name}` | {role.held_by}"
        for permission, reason in role.reasons.items():
            yield f"| {title} | `{permission}` | {reason} |"
            title = " | "
