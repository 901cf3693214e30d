"""USSD sessions as a network keeps them, towards applications in Africa's Talking's form.

A session has one id and its whole text so far, joined by `*`; a turn is one POST. Nobody answers
for long: the session times out. How a session ended is told to the events URL.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sim.callbacks import HOP_HEADER, Poster, screen_of
from sim.handset import IDLE, NETWORK_PROBLEM, WAITING, Handset, Screen, Session, network_of
from sim.services import Service
from sim.tower import NetworkError, Tower

SESSION_S = 180.0  # Kenya's networks: a whole session
IDLE_S = 60.0  # and a person who types nothing

EndStatus = Literal["Success", "Incomplete", "Failed"]


class Ussd:
    """Dialling, answering, ending."""

    def __init__(self, tower: Tower, services: Sequence[Service], poster: Poster) -> None:
        self._tower = tower
        self._services = services
        self._poster = poster

    async def dial(self, msisdn: str, code: str) -> Screen:
        """Dial a code: `*855#`, or deep into it: `*855*1*012345678*5000#`."""
        handset = self._tower.handset(msisdn)
        if handset.session is not None:
            raise NetworkError("a session is open: end it first")
        for service in self._services:
            parts = service.inside(code)
            if parts is not None:
                break
        else:
            served = " and ".join(service.service_code for service in self._services)
            problem = f"only {served} {'are' if len(self._services) > 1 else 'is'} served"
            return self._tower.show(handset, Screen("error", NETWORK_PROBLEM, problem))
        now = self._tower.now()
        name = f"ATUid_{self._tower.entropy(16).hex()}"
        handset.session = Session(name, service, now, now)
        for part in parts:
            handset.session.say(part, secret=False)
        return await self._turn(handset, handset.session)

    async def reply(self, msisdn: str, text: str) -> Screen:
        """Answer the page on the screen."""
        handset = self._tower.handset(msisdn)
        session = handset.session
        if session is None:
            raise NetworkError("no session is open: dial first")
        if handset.screen is WAITING:
            raise NetworkError("the last answer is not back yet")
        session.say(text, secret=handset.screen.secret)
        return await self._turn(handset, session)

    def end(self, msisdn: str) -> Screen:
        """Press the end key: leave the session, or clear the screen."""
        handset = self._tower.handset(msisdn)
        if handset.session is not None:
            self._close(handset, "Incomplete", "")
        return self._tower.show(handset, IDLE)

    def expire(self, msisdn: str) -> Screen:
        """Time the session out, as the network does after a while of silence."""
        handset = self._tower.handset(msisdn)
        if handset.session is None:
            raise NetworkError("no session is open")
        self._close(handset, "Failed", "The session timed out")
        return self._tower.show(handset, Screen("end", "Session timed out."))

    async def _turn(self, handset: Handset, session: Session) -> Screen:
        self._tower.show(handset, WAITING)
        session.heard_at = self._tower.now()
        headers = {HOP_HEADER: session.hop_metadata} if session.hop_metadata else None
        reply = await self._poster.post(
            session.service.application.ussd,
            {
                "sessionId": session.id,
                "phoneNumber": handset.msisdn,
                "networkCode": network_of(handset.msisdn)[1],
                "serviceCode": session.service.service_code,
                "text": session.text,
            },
            headers=headers,
        )
        screen = screen_of(reply)
        shown = session.masked or "(dialled)"
        echoed = replace(reply, body=session.hide(reply.body))
        self._tower.log("ussd", handset.msisdn, shown, echoed, screen.problem)
        session.turns += 1
        session.last_reply = reply.body
        if reply.hop_metadata:
            session.hop_metadata = reply.hop_metadata
            session.hops.append(reply.hop_metadata)
        if handset.session is not session:
            return handset.screen  # ended or timed out meanwhile: nobody reads the answer
        session.heard_at = self._tower.now()
        if screen.kind != "menu":
            status: EndStatus = "Success" if screen.kind == "end" else "Failed"
            self._close(handset, status, screen.problem if status == "Failed" else "")
        return self._tower.show(handset, screen)

    def _close(self, handset: Handset, status: EndStatus, problem: str) -> None:
        session, handset.session = handset.session, None
        if session is None or not (url := session.service.application.events):
            return
        form = {
            "date": self._tower.date(),
            "sessionId": session.id,
            "serviceCode": session.service.service_code,
            "networkCode": network_of(handset.msisdn)[1],
            "phoneNumber": handset.msisdn,
            "status": status,
            "cost": "0",
            "durationInMillis": str(int((self._tower.now() - session.opened_at) * 1000)),
            "hopsCount": str(session.turns),
            "hopsMetadata": "|".join(session.hops),
            "input": session.text,
            "lastAppResponse": session.last_reply,
        }
        if problem:
            form["errorMessage"] = problem
        shown = f"{status} {session.masked}".strip()
        self._tower.start(self._event(url, handset.msisdn, form, shown))

    async def _event(self, url: str, msisdn: str, form: dict[str, str], shown: str) -> None:
        reply = await self._poster.post(url, form)
        self._tower.log("event", msisdn, shown, reply)

    def expire_due(self) -> None:
        """Time out every session that is over."""
        now = self._tower.now()
        for handset in list(self._tower.handsets.values()):
            session = handset.session
            if session is None or handset.screen is WAITING:
                continue
            if now - session.heard_at > IDLE_S or now - session.opened_at > SESSION_S:
                self.expire(handset.msisdn)
