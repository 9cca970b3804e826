"""Why a bank declined, or why money was given back, in the reader's language. Pure.

The English sentences are billing's own (`billing/payments/model.py`), which the API says; here they are marked for
translation, and a test holds both lists together.
"""

from helvetia.billing.payments.model import given_back_words, in_plain_words
from helvetia.web.dashboard.voice import Voice


def say(text: str) -> str:
    """Marks a sentence whose words stand elsewhere."""
    return text


REASONS_SAID = (
    say("The bank declined the payment without saying why. Try another card, or ask your bank."),
    say("There was not enough money on the account of the card."),
    say("The card has expired."),
    say("The security code of the card was wrong."),
    say("The number of the card is wrong."),
    say("The bank does not accept this card any more. Use another one."),
    say("The card was used too often or for too much. Try later, or use another one."),
    say("The bank had a technical problem. Try again in a few minutes."),
    say("The bank wants you to confirm the payment."),
    say("It had been charged twice."),
    say("The payment was not made by the owner of the card."),
    say("Given back as you asked."),
    say("What was ordered has changed."),
    say("Something was not as it should have been."),
)


def reason_words(code: str | None, voice: Voice) -> str | None:
    """Nothing where nothing went wrong."""
    text = in_plain_words(code)
    return None if text is None else voice.say(text)


def given_back_reason(code: str | None, voice: Voice) -> str | None:
    """Why money went back; nothing where nobody said why."""
    text = given_back_words(code)
    return None if text is None else voice.say(text)
