"""What is counted and timed, in one place, as Prometheus reads it at `/metrics`.

Labels are closed sets only (kinds of effect, outcome, state): never a number, id or text.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# A second series for each, that nobody here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 3.5, 5.0, 10.0)

# Tables whose rows may drift, and the ledger's blocks.
DRIFTING = (
    *("holding", "counter", "movement", "transfer", "receipt", "unclaimed", "dispute"),
    *("wallet", "chain_key", "block"),
)


class Meters:
    """All of this process's meters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.turn_seconds = Histogram(
            "gateway_turn_seconds",
            "Time to answer a USSD turn, which goes on or ends its session",
            ["ends"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.sent_away = Counter(
            "gateway_dials_sent_away_total",
            "Dials that were asked to come back later, since turns waited too long",
            registry=self.registry,
        )
        self.effects = Counter(
            "gateway_effects_total",
            "Effects asked of the desk, by what came of them",
            ["effect", "outcome"],
            registry=self.registry,
        )
        self.texts = Counter(
            "gateway_sms_in_total", "SMS heard, by what they were", ["kind"], registry=self.registry
        )
        self.sent = Counter(
            "gateway_sms_out_total", "SMS out, by result", ["result"], registry=self.registry
        )
        self.settled = Counter(
            "gateway_settled_total",
            "Ledger transactions of ours settled, by state",
            ["state"],
            registry=self.registry,
        )
        self.height = Gauge(
            "gateway_ledger_height", "Last settled block of the ledger", registry=self.registry
        )
        self.ledger_up = Gauge(
            "gateway_ledger_up", "1 while some peer of the ledger answers", registry=self.registry
        )
        self.disagreements = Counter(
            "gateway_ledger_disagreements_total",
            "Transactions about whose final state peers disagree",
            registry=self.registry,
        )
        self.doubts = Counter(
            "gateway_ledger_doubts_total",
            "Blocks a peer told that cannot be believed",
            registry=self.registry,
        )
        self.drifts = Counter(
            "gateway_drifts_total",
            "Rows found to be otherwise than their movements or the blocks say, by table",
            ["table"],
            registry=self.registry,
        )
        self.adrift = Gauge(
            "gateway_rows_adrift",
            "Such rows in the last whole round of reconciliation",
            registry=self.registry,
        )
        self.round_seconds = Gauge(
            "gateway_reconciliation_seconds",
            "How long the last whole round of reconciliation took",
            registry=self.registry,
        )
        self.not_tried = Counter(
            "gateway_pins_not_tried_total",
            "PINs not tried because too many were wrong in a minute, of the bank or of a block",
            ["of"],
            registry=self.registry,
        )
        self.cut = Counter(
            "gateway_connections_cut_total",
            "Connections closed because they were silent, unread, too many, or found no room",
            ["why"],
            registry=self.registry,
        )
        self.swept = Counter(
            "gateway_rows_deleted_total",
            "Old rows deleted by housekeeping, by table",
            ["table"],
            registry=self.registry,
        )
        self.returns = Counter(
            "gateway_returns_total",
            "Unclaimed money sent back: begun, tried again, over a cap, to a wallet that is gone",
            ["what"],
            registry=self.registry,
        )
        self.faults = Counter(
            "gateway_faults_total",
            "Things that should not happen, by room",
            ["room"],
            registry=self.registry,
        )
        # Series exist from the start, so that a rate over the first event is right.
        for ends in ("yes", "no"):
            self.turn_seconds.labels(ends)
        for of in ("bank", "block"):
            self.not_tried.labels(of)
        for table in DRIFTING:
            self.drifts.labels(table)
