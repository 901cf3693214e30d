"""SMS both ways: from phones to the application's callback, from its REST calls into inboxes."""

from functools import partial

from sim.callbacks import Application, Poster, Reply
from sim.handset import Handset, Sms, network_of
from sim.repeats import Repeated, Repeats
from sim.tower import Tower
from sim.wire import mask_sms

KEPT_FOR_POLLING = 1000


class SmsCentre:
    """Takes every SMS, and makes sure that the application hears of it."""

    def __init__(
        self, tower: Tower, application: Application, poster: Poster, *, shortcode: str
    ) -> None:
        self.shortcode = shortcode
        self.to_application: list[Sms] = []  # for applications that poll
        self._tower = tower
        self._application = application
        self._repeats = Repeats(poster, tower.now, self._log)
        self._last_id = 0

    def send(self, msisdn: str, text: str, to: str = "") -> Sms:
        """A phone sends an SMS, to the shortcode if nobody else is named."""
        handset = self._tower.handset(msisdn)
        peer = to.strip() or self.shortcode
        # The phone keeps it masked: a PIN sent is a PIN somebody else may read there later.
        sms = Sms(self._next_id(), peer, mask_sms(text), self._tower.now(), outgoing=True)
        handset.messages.append(sms)
        if peer != self.shortcode:
            if peer in self._tower.handsets:
                self._receive(peer, Sms(sms.id, msisdn, text, sms.at))
        elif self._application.sms:
            sms.state = "sending"
            self._to_application(handset, sms, text)
        else:
            sms.state = "failed"
        self._tower.tell(handset)
        return sms

    def deliver(self, msisdn: str, sender: str, text: str) -> str:
        """An application's SMS reaches a phone; its report follows. Returns the message id."""
        message_id = f"ATXid_{self._tower.entropy(16).hex()}"
        now = self._tower.now()
        self._receive(msisdn, Sms(message_id, sender, text, now))
        if self._application.delivery:
            form = {
                "id": message_id,
                "status": "Success",
                "phoneNumber": msisdn,
                "networkCode": network_of(msisdn)[1],
                "retryCount": "0",
            }
            report = Repeated(
                "delivery", self._application.delivery, msisdn, form, "Success", now, now
            )
            self._tower.start(self._repeats.post(report))
        return message_id

    def read(self, msisdn: str, message_id: str = "") -> None:
        """The person has opened a message; an empty id: all of them."""
        handset = self._tower.handset(msisdn)
        for sms in handset.messages:
            sms.read = sms.read or sms.id == message_id or not message_id
        self._tower.tell(handset)

    def post_due(self) -> None:
        """Post again what was not answered and is due."""
        self._tower.start(self._repeats.post_due())

    def _to_application(self, handset: Handset, sms: Sms, text: str) -> None:
        unmasked = Sms(sms.id, handset.msisdn, text, sms.at)
        self.to_application = [*self.to_application[1 - KEPT_FOR_POLLING :], unmasked]
        form = {
            "from": handset.msisdn,
            "to": sms.peer,
            "text": text,
            "date": self._tower.date(),
            "id": sms.id,
            "networkCode": network_of(handset.msisdn)[1],
        }
        callback = Repeated(
            "sms",
            self._application.sms,
            handset.msisdn,
            form,
            sms.text,
            sms.at,
            sms.at,
            partial(self._told, handset, sms),
        )
        self._tower.start(self._repeats.post(callback))

    def _told(self, handset: Handset, sms: Sms, state: str) -> None:
        sms.state = state
        self._tower.tell(handset)

    def _receive(self, msisdn: str, sms: Sms) -> None:
        handset = self._tower.handset(msisdn)
        handset.messages.append(sms)
        self._tower.tell(handset)

    def _log(self, callback: Repeated, reply: Reply) -> None:
        self._tower.log(callback.kind, callback.phone, callback.shown, reply)

    def _next_id(self) -> str:
        """Rising, also over restarts of the simulator: an application remembers ids it has seen."""
        self._last_id = max(self._last_id + 1, int(self._tower.now() * 1000))
        return str(self._last_id)
