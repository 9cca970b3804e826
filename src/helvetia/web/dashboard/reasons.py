"""Why a bank declined, or why money was given back, in the reader's language. Pure.

The English sentences are billing's own (`billing/payments/model.py`), which the API says; here they are marked for
translation, and a test holds both lists together.
"""

from helvetia.billing.payments.model import in_plain_words
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
    say("The payment had been taken twice, so it was given back."),
    say("Given back as you asked."),
)


def reason_words(code: str | None, voice: Voice) -> str | None:
    """Nothing where nothing went wrong."""
    text = in_plain_words(code)
    return None if text is None else voice.say(text)
