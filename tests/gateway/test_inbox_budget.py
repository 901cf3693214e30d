"""A number that has had its answers of the hour hears nothing; the operator does."""

from dataclasses import replace

from structlog.testing import capture_logs

from gateway.carriers.carrier import SmsMo
from gateway.inbox import Inbox
from gateway.meters import Meters
from menus.facts import Facts, Service
from menus.kinds import Msisdn
from menus.sms import SmsEngine
from menus.text.load import load_texts

DARA = Msisdn("+85512345601")
BUDGET = 2


class NoMacs:
    """Nobody gets as far as a code here."""

    def mac(self, purpose: str, data: bytes) -> bytes:
        raise NotImplementedError

    def is_mac(self, purpose: str, data: bytes, mac: bytes) -> bool:
        raise NotImplementedError


async def test_an_answer_over_the_budget_is_counted_and_told_without_the_number(
    sqlite_sql, clock, entropy
):
    meters = Meters()
    facts = Facts(DARA, clock.now(), "", "en", None, Service("Bakong", "*855#", "855"))

    async def facts_of(msisdn):
        return replace(facts, msisdn=msisdn, now=clock.now())

    async def handle(_effect, _origin):
        raise NotImplementedError

    inbox = Inbox(
        SmsEngine(load_texts()),
        sqlite_sql,
        facts_of,
        handle,
        NoMacs(),
        clock=clock,
        entropy=entropy,
        wait_s=3.0,
        replies_per_hour=BUDGET,
        queued=lambda: None,
        meters=meters,
    )
    with capture_logs() as lines:
        for n in range(BUDGET + 2):
            await inbox.take(SmsMo("africastalking", f"m{n}", DARA, "855", "what is this"))
        await inbox.take(SmsMo("africastalking", "m3", DARA, "855", "what is this"))
    assert meters.texts.labels("over budget")._value.get() == 2
    told = [line for line in lines if line["event"] == "reply budget used up"]
    assert [line["number"] for line in told] == ["..601", "..601"]
    assert {line["log_level"] for line in told} == {"info"}
    assert "345601" not in str(lines)
    assert "what is this" not in str(lines)
