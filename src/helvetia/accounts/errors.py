"""What can go wrong with accounts, sign-in and tokens. Messages are constant: none tells whether an e-mail exists."""

from helvetia.kernel.errors import Conflict, Forbidden, HelvetiaError, Invalid, NotFound, NotSignedIn, Unavailable


class AccountNotFound(NotFound):
    """There is no such account, or you do not belong to it."""

    code = "account_not_found"


class TokenNotFound(NotFound):
    """There is no such API token among yours."""

    code = "token_not_found"


class EmailTaken(Conflict):
    """A user with this e-mail address exists."""

    code = "email_taken"


class LastOwner(Conflict):
    """An organization keeps at least one owner."""

    code = "last_owner"


class TooManyOrganizations(Forbidden):
    """You own as many organizations as a user may own."""

    code = "too_many_organizations"


class TooManyTokens(Forbidden):
    """You have as many API tokens as a user may have. Revoke one first."""

    code = "too_many_tokens"


class InvalidEmail(Invalid):
    """This is not an e-mail address."""

    code = "invalid_email"


class InvalidName(Invalid):
    """A name has 1 to 100 visible characters."""

    code = "invalid_name"


class UnknownPageLanguage(Invalid):
    """The pages do not speak this language."""

    code = "unknown_page_language"


class UnknownTimeZone(Invalid):
    """There is no such time zone. Name one as the IANA does, such as Europe/Zurich."""

    code = "unknown_time_zone"


class WeakPassword(Invalid):
    """A password has 12 to 256 characters."""

    code = "weak_password"


class WrongCredentials(NotSignedIn):
    """The e-mail address or the password is wrong."""

    code = "wrong_credentials"


class SessionEnded(NotSignedIn):
    """Your session has ended. Sign in again."""

    code = "session_ended"


class InvalidToken(NotSignedIn):
    """This API token is not valid, or it was revoked."""

    code = "invalid_token"


class TooManyAttempts(HelvetiaError):
    """Too many sign-in attempts. Try again later."""

    code = "too_many_attempts"
    status = 429


class SignInBusy(Unavailable):
    """Too many people sign in right now; nothing was changed. Try again in a moment."""

    code = "sign_in_busy"


class OwnsOrganizations(Conflict):
    """You are the only owner of an organization. Delete it, or make somebody else its owner, first."""

    code = "owns_organizations"


class WrongConfirmation(Invalid):
    """To delete an account, name its id in `confirm`."""

    code = "wrong_confirmation"
