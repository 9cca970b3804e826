"""What can go wrong at the border itself, before any service is asked."""

from helvetia.kernel.errors import Forbidden, HelvetiaError, Invalid


class CrossSiteRequest(Forbidden):
    """This request did not come from our own pages, so it was refused. Nothing was changed."""

    code = "cross_site_request"


class FormExpired(Forbidden):
    """This form has expired, so nothing was changed. Load the page again and send it once more."""

    code = "form_expired"


class BodyTooLarge(HelvetiaError):
    """The request body is too large."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(HelvetiaError):
    """The request body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class TwoOrganizations(Invalid):
    """The query and the header name different organizations."""

    code = "two_organizations"
