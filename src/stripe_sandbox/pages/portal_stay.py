"""Who is in the portal: the link that logs in once, and the login that every portal page's address holds."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.responses import Response

from stripe_sandbox.clock import wall_s
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.objects import portal_configuration, portal_session
from stripe_sandbox.pages import render
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import NotFound, StripeError


class LinkUsed(StripeError):
    """This link cannot be used again. Go back to where you came from and open the billing page anew."""

    status = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One customer in the portal, with what the configuration lets them do."""

    visit: Visit
    session: Doc
    customer: Doc
    features: Doc
    headline: str | None

    @property
    def ctx(self) -> Context:
        return self.visit.ctx

    @property
    def home(self) -> str:
        """The path of the overview."""
        return f"/p/{self.ctx.account}/{self.session['id']}/{self.session['_login']}"

    @property
    def flow(self) -> Doc | None:
        """The one thing the customer was sent here for, until it is done."""
        return None if self.session.get("_flow_done") else self.session["flow"]

    def allow(self, feature: str) -> Doc:
        """Return a feature's settings, or refuse the page if the feature is off."""
        settings: Doc = self.features[feature]
        if not settings["enabled"]:
            raise NotFound("There is no such page.")
        return settings

    def page(self, template: str, status: int = 200, **data: object) -> Response:
        """Return a portal page; every one knows the way back."""
        return render.page(template, status, home=self.home, session=self.session, flow=self.flow, **data)


def log_in(visit: Visit) -> Response:
    """Use up the link and go on to the overview, or to the flow it is for."""
    session = _session(visit, "_token")
    now_s = wall_s()
    if session["_opened_at"] is not None or now_s > session["_made_at"] + portal_session.LINK_LIFE_S:
        raise LinkUsed(LinkUsed.__doc__ or "")
    visit.ctx.write(session | {"_opened_at": now_s})
    return render.go(enter(visit, session).home)


def stay_of(visit: Visit) -> Stay:
    """Return who is in the portal by the login in the address."""
    session = _session(visit, "_login")
    opened_at = session["_opened_at"]
    if opened_at is None or wall_s() > opened_at + portal_session.LOGIN_LIFE_S:
        raise LinkUsed(LinkUsed.__doc__ or "")
    return enter(visit, session)


def enter(visit: Visit, session: Doc) -> Stay:
    """Return the stay of a session whose token was checked."""
    customer = visit.ctx.find("customer", session["customer"])
    if customer is None or customer.get("deleted"):
        raise NotFound("There is no such page.")
    configuration = visit.ctx.get(portal_configuration.NAME, session["configuration"])
    return Stay(
        visit=visit,
        session=session,
        customer=customer,
        features=configuration["features"],
        headline=configuration["business_profile"]["headline"],
    )


def _session(visit: Visit, note: str) -> Doc:
    session = visit.ctx.find(portal_session.NAME, visit.ids["session"])
    if session is None or not hmac.compare_digest(session[note].encode(), visit.ids["token"].encode()):
        raise NotFound("There is no such page.")
    return session


def finished(stay: Stay, told: str) -> Response:
    """Answer after something was done: on as the flow says, or back to the overview with a sentence about it."""
    flow = stay.flow
    if flow is None:
        return render.go(f"{stay.home}?told={told}")
    stay.ctx.write(stay.session | {"_flow_done": True})
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return render.go(after["redirect"]["return_url"])
    if after["type"] == "hosted_confirmation":
        return render.go(f"{stay.home}/done?told={told}")
    return render.go(f"{stay.home}?told={told}")
