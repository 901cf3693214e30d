"""All forms in the order people meet them, and the menus they stand in.

Direct-dial numbers belong to the forms (`@form(…, dial=…)`) and never change with role or menu:
people keep the strings in their phones. To add a menu item: one file in flows/, one line here,
its texts.
"""

from menus.facts import Facts
from menus.flows.balance import BalanceForm
from menus.flows.change_pin import ChangePinForm
from menus.flows.choose_pin import ChoosePinForm
from menus.flows.dispute import DisputeForm
from menus.flows.give_back import GiveBackForm, waiting
from menus.flows.language import ChooseLanguage
from menus.flows.last_payment import LastPaymentForm
from menus.flows.open_wallet import OpenWalletForm
from menus.flows.renew_key import RenewKeyForm
from menus.flows.send_money import SendMoney
from menus.flows.send_to_bank import SendToBank
from menus.forms import HOME, Catalogue, Menu

FORMS = (
    ChooseLanguage,
    OpenWalletForm,
    ChoosePinForm,
    SendMoney,
    SendToBank,
    BalanceForm,
    LastPaymentForm,
    DisputeForm,
    GiveBackForm,
    ChangePinForm,
    RenewKeyForm,
)

NEWCOMER = Menu(HOME, (OpenWalletForm, ChooseLanguage), title="home.newcomer")
ELSEWHERE = Menu(HOME, (ChooseLanguage,), title="home.elsewhere")  # nobody could pay this number
OPENING = Menu(HOME, (ChooseLanguage,), title="home.opening")
MADE = Menu(HOME, OPENING.entries, title="home.made")  # by receiving: its owner asked for nothing
WITHOUT_PIN = Menu(
    HOME, (ChoosePinForm, BalanceForm, LastPaymentForm, ChooseLanguage), title="home.without_pin"
)
UNCLAIMED = Menu(HOME, WITHOUT_PIN.entries, title="home.unclaimed")
PIN = Menu("pin", (ChangePinForm, RenewKeyForm))
_LOOKING = (BalanceForm, LastPaymentForm, PIN, ChooseLanguage)
_ALSO = (DisputeForm, GiveBackForm)
SUBSCRIBER = Menu(HOME, (SendMoney, *_LOOKING), also=_ALSO)
WITH_BANKS = Menu(HOME, (SendMoney, SendToBank, *_LOOKING), also=_ALSO)
RENEWING = Menu(HOME, (BalanceForm, LastPaymentForm, ChooseLanguage), title="home.renewing")
HELD = Menu(HOME, (BalanceForm, LastPaymentForm, ChooseLanguage), title="home.held")

MENUS = (
    *(NEWCOMER, ELSEWHERE, OPENING, MADE, WITHOUT_PIN, UNCLAIMED),
    *(SUBSCRIBER, WITH_BANKS, RENEWING, HELD),
)


def menu_for(facts: Facts) -> Menu:
    """Choose the menu a person is shown at home; every role has the subscriber's, for now."""
    if facts.wallet is None:
        return NEWCOMER if facts.msisdn.is_payable else ELSEWHERE
    match facts.wallet.state:
        case "opening":
            return OPENING if facts.wallet.has_pin else MADE
        case "held":
            return HELD
        case "open" if facts.wallet.renewing:
            return RENEWING
        case "open" if not facts.wallet.has_pin:
            return UNCLAIMED if facts.wallet.waits else WITHOUT_PIN
        case "open":
            return WITH_BANKS if facts.service.banks else SUBSCRIBER


CATALOGUE = Catalogue(FORMS, menu_for, first=ChooseLanguage, waiting=waiting)
