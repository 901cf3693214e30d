"""SMS both ways: from phones to an application's callback, from its REST calls into inboxes."""

from collections import deque
from collections.abc import Sequence
from functools import partial

from sim.callbacks import Poster, Reply
from sim.handset import Handset, Sms, network_of
from sim.repeats import Repeated, Repeats
from sim.services import Service
from sim.tower import Tower
from sim.wire import mask_sms

KEPT_FOR_POLLING = 1000


class SmsCentre:
    """Takes every SMS, and makes sure that the application it is for hears of it."""

    def __init__(self, tower: Tower, services: Sequence[Service], poster: Poster) -> None:
        self._tower = tower
        self._services = {service.shortcode: service for service in services}
        self._home = services[0]
        self._polled: dict[str, deque[Sms]] = {  # by shortcode, for applications that poll
            shortcode: deque(maxlen=KEPT_FOR_POLLING) for shortcode in self._services
        }
        self._repeats = Repeats(poster, tower.now, self._log)
        self._last_id = 0

    def send(self, msisdn: str, text: str, to: str = "") -> Sms:
        """A phone sends an SMS, to the shortcode it suggests if nobody else is named."""
        handset = self._tower.handset(msisdn)
        peer = to.strip() or handset.shortcode or self._home.shortcode
        # The phone keeps it masked: a PIN sent is a PIN somebody else may read there later.
        sms = Sms(self._next_id(), peer, mask_sms(text), self._tower.now(), outgoing=True)
        handset.messages.append(sms)
        service = self._services.get(peer)
        if service is None:
            if peer in self._tower.handsets:
                self._receive(peer, Sms(sms.id, msisdn, sms.text, sms.at))
        elif service.application.sms:
            sms.state = "sending"
            self._to_application(service, handset, sms, text)
        else:
            sms.state = "failed"
        self._tower.tell(handset)
        return sms

    def sent_to(self, service: Service) -> Sequence[Sms]:
        """What phones have written to it lately, unmasked; the peer is who wrote."""
        return self._polled[service.shortcode]

    def deliver(self, msisdn: str, sender: str, text: str, service: Service | None = None) -> str:
        """An application's SMS reaches a phone; its report follows. Returns the message id."""
        reported = (service or self._home).application.delivery
        message_id = f"ATXid_{self._tower.entropy(16).hex()}"
        now = self._tower.now()
        self._receive(msisdn, Sms(message_id, sender, text, now))
        if reported:
            form = {
                "id": message_id,
                "status": "Success",
                "phoneNumber": msisdn,
                "networkCode": network_of(msisdn)[1],
                "retryCount": "0",
            }
            report = Repeated("delivery", reported, msisdn, form, "Success", now, now)
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

    def _to_application(self, service: Service, handset: Handset, sms: Sms, text: str) -> None:
        unmasked = Sms(sms.id, handset.msisdn, text, sms.at)
        self._polled[service.shortcode].append(unmasked)
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
            service.application.sms,
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
