"""The composition root: the one place that knows every concrete class.

All of one process is built here from the settings; building starts nothing (serve.py does).
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gateway.carriers import REGISTRY
from gateway.carriers.carrier import Carrier
from gateway.carriers.http import Gate
from gateway.clock import Clock, Entropy, SystemClock, fresh_id, pooled, system_entropy
from gateway.config import PREFIX, Settings, SettingsError
from gateway.desk.amounts import Assets
from gateway.desk.directory import Directory
from gateway.desk.disputable import DisputeTerms
from gateway.desk.disputes import Disputes
from gateway.desk.invitations import Invitations
from gateway.desk.journal import Journal
from gateway.desk.keep import Keeper
from gateway.desk.limits import PACKAGED, LimitsError, load_limits
from gateway.desk.listings import Banks
from gateway.desk.making import Maker
from gateway.desk.openings import Bank
from gateway.desk.outbox import Outbox
from gateway.desk.pin_change import PinChanges
from gateway.desk.pins import PinGuard
from gateway.desk.reads import Reads
from gateway.desk.receipts import Receipts
from gateway.desk.renewal import Renewals
from gateway.desk.returns import Returns
from gateway.desk.spraying import Budget
from gateway.desk.transfers import Transfers
from gateway.desk.unclaimed import Terms
from gateway.desk.waiters import Waiters
from gateway.desk.wallets import Wallets
from gateway.follower import Follower
from gateway.handlers import Handlers
from gateway.housekeeping import Housekeeping
from gateway.inbox import Inbox
from gateway.kek import Kek
from gateway.meters import Meters
from gateway.reconciler import Reconciler
from gateway.sender import Sender
from gateway.stores.runners import open_sql
from gateway.stores.sessions import Sessions, open_sessions
from gateway.stores.sql import Sql
from gateway.turn import Turns
from gateway.vault import Cost, Vault
from ledger_client.genesis import GenesisError, pinned
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import KeyFileError, SigningKey, load_key
from ledger_client.ledger import Ledger, Reached
from ledger_client.trust import Trust
from menus.engine import Engine
from menus.facts import Facts, Service
from menus.kinds import Msisdn
from menus.sms import SmsEngine
from menus.text.load import load_texts


@dataclass(frozen=True, slots=True)
class World:
    """What a process cannot build: the stores and the ledger it is connected to, time, chance."""

    sql: Sql
    sessions: Sessions
    ledger: Ledger
    clock: Clock
    entropy: Entropy
    threads: Executor | None  # for argon2; None runs it inline, in the simulated world
    is_last: Callable[[Reached], Awaitable[bool]] | None = None  # see `Follower`


class Gateway:
    """All of one process. Building it starts nothing."""

    def __init__(self, settings: Settings, world: World, carriers: Sequence[Carrier]) -> None:
        self.settings, self.world, self.carriers = settings, world, carriers
        self.meters = Meters()
        self.texts = load_texts(default=settings.language)
        self.limits = load_limits(settings.limits_file or PACKAGED)
        self.service = Service(
            settings.bank_name,
            settings.service_code,
            settings.shortcode,
            settings.language,
            banks=tuple(settings.bank_names.items()),
            unclaimed_days=settings.unclaimed_days,
        )
        self.terms = Terms(
            settings.unclaimed_days,
            settings.unclaimed_wallets_per_day,
            settings.unclaimed_sms_per_day,
        )
        self.dispute_terms = DisputeTerms(
            settings.dispute_hours, settings.dispute_hold_hours, settings.disputes_per_day
        )
        self.vault = Vault(
            Kek.load(settings.kek_file),
            world.entropy,
            world.threads,
            cost=Cost(settings.argon2_ops, settings.argon2_mib * 1024),
            at_once=settings.argon2_threads,
        )
        self.journal = Journal(self.vault, world.entropy)
        self._build_background()
        self._build_desk()
        self._build_edges()

    def _build_background(self) -> None:
        """What goes on without anybody asking: sending, settling, texting, tidying."""
        world, settings = self.world, self.settings
        self.assets = Assets(settings.asset_domain)
        self.banks = Banks(settings.bank_domain, settings.bank_name, settings.bank_names)
        self.bank = Bank(settings.bank_domain, load_key(settings.opener_key_file))
        self.waiters = Waiters()
        self.sender = Sender(world.sql, self.carriers[0].send, world.clock, self.meters)
        self.housekeeping = Housekeeping(world.sql, world.clock, self.meters)
        self.reconciler = Reconciler(
            world.sql,
            self.journal,
            clock=world.clock,
            meters=self.meters,
            rows_per_s=settings.reconciled_rows_per_s,
        )
        self.receipts = receipts = Receipts(
            self.texts, self.limits, self.banks, settings.service_code, self.terms
        )
        self.follower = Follower(
            world.sql,
            world.ledger,
            self.waiters,
            receipts,
            journal=self.journal,
            clock=world.clock,
            meters=self.meters,
            messages_queued=self.sender.poke,
            assets=self.assets,
            own=settings.bank_domain,
            begin=trusted_block(settings),
            is_last=world.is_last,
            no_op=self.bank.no_op,
        )
        self.outbox = Outbox(
            world.sql,
            world.ledger,
            self.waiters,
            receipts,
            journal=self.journal,
            clock=world.clock,
            entropy=world.entropy,
            meters=self.meters,
            messages_queued=self.sender.poke,
            may_sign=self.follower.walked,
            settled=lambda: self.follower.settled,
        )

    def _build_desk(self) -> None:
        """Keys, PINs, wallets, money."""
        world, settings = self.world, self.settings
        self.keeper = Keeper(self.vault, world.clock)
        self.guard = PinGuard(
            world.sql,
            self.vault,
            world.clock,
            self.texts,
            meters=self.meters,
            budget=Budget(settings.wrong_pins_per_minute),
        )
        self.directory = Directory(
            world.sql,
            world.clock,
            banks=self.banks,
            lookups_per_day=settings.lookups_per_day,
            unclaimed=settings.unclaimed_days > 0,
        )
        self.wallets = Wallets(
            world.sql,
            self.bank,
            vault=self.vault,
            keeper=self.keeper,
            directory=self.directory,
            waiters=self.waiters,
            poke=self.outbox.poke,
            clock=world.clock,
            entropy=world.entropy,
        )
        self.pin_changes = PinChanges(
            world.sql,
            self.texts,
            vault=self.vault,
            keeper=self.keeper,
            guard=self.guard,
            directory=self.directory,
            queued=self.sender.poke,
            clock=world.clock,
        )
        self.renewals = Renewals(
            world.sql,
            self.bank,
            vault=self.vault,
            keeper=self.keeper,
            guard=self.guard,
            waiters=self.waiters,
            poke=self.outbox.poke,
            clock=world.clock,
            entropy=world.entropy,
        )
        self.transfers = Transfers(
            world.sql,
            self.guard,
            self.outbox,
            self.waiters,
            limits=self.limits,
            journal=self.journal,
            clock=world.clock,
            entropy=world.entropy,
            assets=self.assets,
            banks=self.banks,
            maker=Maker(self.bank, self.vault, world.entropy, self.terms),
            may_sign=self.follower.walked,
            settled=lambda: self.follower.settled,
        )
        self.returns = Returns(
            world.sql,
            self.vault,
            self.limits,
            may_sign=self.follower.walked,
            journal=self.journal,
            poke=self.outbox.poke,
            clock=world.clock,
            entropy=world.entropy,
            meters=self.meters,
            assets=self.assets,
            settled=lambda: self.follower.settled,
        )
        self.invitations = Invitations(
            world.sql, self.receipts, queued=self.sender.poke, clock=world.clock
        )
        self.disputes = Disputes(
            world.sql,
            self.guard,
            self.receipts,
            self.dispute_terms,
            journal=self.journal,
            macs=self.vault,
            queued=self.sender.poke,
            clock=world.clock,
            entropy=world.entropy,
            may_sign=self.follower.walked,
        )
        self.reads = Reads(
            world.sql,
            self.limits,
            world.clock,
            lambda: self.follower.stale_since,
            self.banks,
            terms=self.dispute_terms,
        )
        self.handlers = Handlers(
            keep=self.keeper.keep,
            compare=self.keeper.compare,
            find_payee=self.directory.find_payee,
            set_language=self.directory.set_language,
            open_wallet=self.wallets.open_wallet,
            change_pin=self.pin_changes.change_pin,
            choose_pin=self.renewals.choose_pin,
            renew_key=self.renewals.renew_key,
            transfer=self.transfers.transfer,
            dispute=self.disputes.dispute,
            give_back=self.transfers.give_back,
            keep_money=self.disputes.keep,
            read_balance=self.reads.read_balance,
            read_last_payment=self.reads.read_last_payment,
            clock=world.clock,
            meters=self.meters,
        )

    def _build_edges(self) -> None:
        """Conversations, over USSD and SMS."""
        world = self.world
        self._ids = pooled(world.entropy)  # every turn brings one, which few of them use
        engine = Engine(self.texts)
        self.turns = Turns(
            engine,
            world.sessions,
            self.facts,
            self.handlers,
            mac=partial(self.vault.mac, "text"),
            clock=world.clock,
            entropy=world.entropy,
            wait_s=self.settings.ledger_wait_s,
            meters=self.meters,
        )
        self.inbox = Inbox(
            SmsEngine(self.texts),
            world.sql,
            self.facts,
            self.handlers,
            self.vault,
            clock=world.clock,
            entropy=world.entropy,
            wait_s=self.settings.ledger_wait_s,
            replies_per_hour=self.settings.sms_replies_per_hour,
            queued=self.sender.poke,
            meters=self.meters,
        )

    async def facts(self, msisdn: Msisdn) -> Facts:
        """What one turn of this number may know."""
        known = await self.reads.facts(msisdn)
        return Facts(
            msisdn,
            self.world.clock.now(),
            fresh_id(self._ids),
            known.language,
            known.wallet,
            self.service,
        )


@asynccontextmanager
async def gateway_of(settings: Settings) -> AsyncIterator[Gateway]:
    """A process's gateway, connected; its stores and channels are closed at the end."""
    clock, entropy = SystemClock(), system_entropy
    async with AsyncExitStack() as stack:
        sql = open_sql(settings.database_url, threads=settings.database_connections)
        stack.push_async_callback(sql.close)
        sessions = open_sessions(settings.redis_url, clock)
        stack.push_async_callback(sessions.close)
        ledger = ledger_of(settings)
        stack.push_async_callback(ledger.close)
        threads = ThreadPoolExecutor(settings.argon2_threads, thread_name_prefix="argon2")
        stack.callback(threads.shutdown)
        carriers = [_carrier(name, settings) for name in settings.carriers]
        for carrier in carriers:
            stack.push_async_callback(carrier.close)
        world = World(sql, sessions, ledger, clock, entropy, threads, ledger.is_last)
        with _limits_named():
            gateway = Gateway(settings, world, carriers)
        yield gateway


def ledger_of(settings: Settings, asker: str = "opener", key: SigningKey | None = None) -> Iroha1:
    """The network of the settings, asked in the opener's name, or in that of who has this key."""
    return Iroha1(
        settings.ledger_peers,
        f"{asker}@{settings.bank_domain}",
        key or key_of("OPENER_KEY_FILE", settings.opener_key_file),
        tls_ca=certificates_of(settings.ledger_ca_file),
        trust=trust_of(settings),
    )


def key_of(setting: str, path: Path) -> SigningKey:
    """The key of a key file; what is wrong with it is said with the setting's name."""
    try:
        return load_key(path.absolute())
    except KeyFileError as error:
        hint = "`ussd-gateway keys DIR` makes key files"
        if not path.is_absolute():
            hint = f"{path} is looked for where the command is started; {hint}"
        raise SettingsError(f"{PREFIX}{setting}: {error}; {hint}") from error


def trust_of(settings: Settings) -> Trust:
    """Whose signatures prove a block, by the settings."""
    path = settings.ledger_genesis_file
    trust = Trust()
    if path is not None:
        try:
            trust = pinned(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise SettingsError(f"{PREFIX}LEDGER_GENESIS_FILE={path}: {error.strerror}") from error
        except (ValueError, GenesisError) as error:
            raise SettingsError(f"{PREFIX}LEDGER_GENESIS_FILE={path}: {error}") from error
    if settings.ledger_peer_keys:
        keys = frozenset(key.lower() for key in settings.ledger_peer_keys)
        trust = replace(trust, peers=keys)
    return trust


def trusted_block(settings: Settings) -> Reached:
    """Where a gateway begins that has settled nothing yet."""
    height, _, block_hash = (settings.ledger_trusted_block or "0:").partition(":")
    return Reached(int(height), block_hash.lower())


def certificates_of(path: Path | None) -> bytes | None:
    """What peers must show to be believed to be themselves; None speaks plain."""
    if path is None:
        return None
    try:
        held = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{PREFIX}LEDGER_CA_FILE={path}: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in held:  # gRPC would only say that no peer answers
        raise SettingsError(f"{PREFIX}LEDGER_CA_FILE={path}: holds no PEM certificate")
    return held


@contextmanager
def _limits_named() -> Iterator[None]:
    try:
        yield
    except LimitsError as error:
        raise SettingsError(f"{PREFIX}LIMITS_FILE: {error}") from error


def _carrier(name: str, settings: Settings) -> Carrier:
    if name not in REGISTRY:
        raise SettingsError(f"GATEWAY_CARRIERS: no carrier {name!r}; there are {sorted(REGISTRY)}")
    gate = Gate(settings.callback_secret, settings.callback_allow, settings.trusted_proxies)
    return REGISTRY[name](settings, gate)
