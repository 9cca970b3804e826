"""What can go wrong with a notice."""

from helvetia.kernel.errors import Forbidden, Invalid, Unavailable


class MailNotAccepted(Unavailable):
    """The mail server did not take the message."""

    code = "mail_not_accepted"


class MailboxForbidden(Forbidden):
    """The local mailbox is for this machine only, and only while no mail server is set."""

    code = "mailbox_forbidden"


class UnknownLanguage(Invalid):
    """Notices are written in one of the languages named here."""

    code = "unknown_language"
