"""What a network laid down in its first block, read back.

No query of Iroha tells a domain's default role or a setting, and an account needs extra rights to
be told roles and assets. But none of these can be changed once they are made, so for those that
the first block makes, the first block is the truth for ever. What was made later is not here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ledger_client.proto import block_pb2, primitive_pb2


@dataclass(frozen=True, slots=True)
class Charter:
    """Roles and their permissions, domains and their default role, assets, settings."""

    roles: Mapping[str, frozenset[str]]
    default_roles: Mapping[str, str]
    precisions: Mapping[str, int]
    settings: Mapping[str, str]


def read_charter(first: block_pb2.Block) -> Charter:
    """Read the first block."""
    commands = [
        command
        for transaction in first.block_v1.payload.transactions
        for command in transaction.payload.reduced_payload.commands
    ]
    return Charter(
        roles={
            it.create_role.role_name: permission_names(it.create_role.permissions)
            for it in commands
            if it.HasField("create_role")
        },
        default_roles={
            it.create_domain.domain_id: it.create_domain.default_role
            for it in commands
            if it.HasField("create_domain")
        },
        precisions={
            f"{it.create_asset.asset_name}#{it.create_asset.domain_id}": it.create_asset.precision
            for it in commands
            if it.HasField("create_asset")
        },
        settings={
            it.set_setting_value.key: it.set_setting_value.value
            for it in commands
            if it.HasField("set_setting_value")
        },
    )


def permission_names(numbers: Iterable[int]) -> frozenset[str]:
    """Permissions by name; those that this release's schema does not know are left out."""
    known = primitive_pb2.RolePermission
    return frozenset(known.Name(number) for number in numbers if number in known.values())
