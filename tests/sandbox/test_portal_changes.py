"""Changing a subscription in the portal: what is offered, what waits for the end of the period, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import Sandbox, World
from sandbox.test_portal import Portal, live, open_portal


class Offer:
    """A product with three prices, a customer on the middle one, and a portal configuration that offers all."""

    def __init__(self, world: World, sandbox: Sandbox, **update: Any) -> None:
        self.world, self.sandbox, v1 = world, sandbox, world.client.v1
        product = v1.products.create({"name": "Plan"}).id
        shape = {"currency": "usd", "product": product}
        amounts = {"Small": (1000, "month"), "Middle": (2000, "month"), "Large": (30000, "year")}
        self.prices = {
            name: v1.prices.create(
                {**shape, "unit_amount": amount, "nickname": name, "recurring": {"interval": interval}}
            ).id
            for name, (amount, interval) in amounts.items()
        }
        self.customer = world.customer(world.clock())
        items = [{"price": self.prices["Middle"]}]
        self.subscription = v1.subscriptions.create({"customer": self.customer, "items": items}).id
        offered = {"product": product, "prices": list(self.prices.values())}
        features = {
            "enabled": True,
            "default_allowed_updates": ["price", "quantity", "promotion_code"],
            "products": [{**offered, "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 5}}],
            **update,
        }
        made = v1.billing_portal.configurations.create({"features": {"subscription_update": features}})
        self.configuration = made.id
        self.path = f"/subscriptions/{self.subscription}"

    def portal(self, **extra: Any) -> Portal:
        return open_portal(self.world, self.sandbox, self.customer, configuration=self.configuration, **extra)

    def flow(self, kind: str, **extra: Any) -> dict[str, Any]:
        return {"type": kind, kind: {"subscription": self.subscription, **extra}}

    def now(self) -> stripe.Subscription:
        return live(self.world, self.customer)

    def item(self) -> stripe.SubscriptionItem:
        return self.now()["items"].data[0]


def test_customer_chooses_among_the_offered_plans(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox, proration_behavior="always_invoice")
    portal = offer.portal()
    assert "Change subscription" in portal.get().text
    page = portal.get(f"{offer.path}/change").text
    for words in ("Small", "$10.00 every month", "Large", "$300.00 every year", "Quantity", "Promotion code"):
        assert words in page
    wish = {"price": offer.prices["Middle"], "quantity": "3"}
    confirm = portal.session.get(f"{portal.home}{offer.path}/confirm", params=wish, timeout=20)
    assert "Change, pay $40.00 now" in confirm.text
    assert portal.post(f"{offer.path}/confirm", wish).headers["Location"].endswith("?told=changed")
    assert (offer.item().quantity, len(world.invoices(offer.subscription))) == (3, 2)


@pytest.mark.parametrize(
    "wish", [{"price": "price_other"}, {"quantity": "0"}, {"quantity": "6"}, {"quantity": "x"}, {"code": "NONE"}]
)
def test_choice_that_is_not_offered_is_told_and_changes_nothing(
    world: World, sandbox: Sandbox, wish: dict[str, str]
) -> None:
    offer = Offer(world, sandbox)
    portal = offer.portal()
    answer = portal.session.get(f"{portal.home}{offer.path}/confirm", params=wish, timeout=20)
    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert portal.post(f"{offer.path}/confirm", wish).status_code == 400
    assert (offer.item().quantity, offer.item().price.id) == (1, offer.prices["Middle"])


def test_code_lowers_the_changed_subscription(world: World, sandbox: Sandbox) -> None:
    offer, v1 = Offer(world, sandbox), world.client.v1
    coupon = v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "HALF"})
    portal = offer.portal()
    wish = {"price": offer.prices["Small"], "code": "half"}
    assert portal.post(f"{offer.path}/confirm", wish).status_code == 303
    assert (offer.item().price.id, len(offer.now().discounts)) == (offer.prices["Small"], 1)


def conditions(*kinds: str) -> dict[str, Any]:
    return {"schedule_at_period_end": {"conditions": [{"type": kind} for kind in kinds]}}


def test_smaller_amount_waits_for_the_end_of_the_period_and_can_be_taken_back(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox, **conditions("decreasing_item_amount"))
    portal, wish = offer.portal(), {"price": offer.prices["Small"]}
    end_at = offer.item().current_period_end
    page = portal.session.get(f"{portal.home}{offer.path}/confirm", params=wish, timeout=20)
    assert "Until then everything stays as it is." in page.text
    assert portal.post(f"{offer.path}/confirm", wish).headers["Location"].endswith("?told=scheduled")
    assert offer.item().price.id == offer.prices["Middle"]
    schedule = world.client.v1.subscription_schedules.retrieve(str(offer.now().schedule))
    assert [phase["items"][0].price for phase in schedule.phases] == [offer.prices["Middle"], offer.prices["Small"]]
    assert schedule.phases[1].start_date == end_at
    text = portal.get().text
    assert "Changes on" in text
    assert "Change subscription" not in text
    assert portal.get(f"{offer.path}/change").status_code == 404
    portal.post(f"{offer.path}/stay")
    assert offer.now().schedule is None
    assert offer.item().price.id == offer.prices["Middle"]


def test_larger_amount_is_changed_at_once_in_spite_of_the_condition(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox, **conditions("decreasing_item_amount", "shortening_interval"))
    portal = offer.portal()
    assert portal.post(f"{offer.path}/confirm", {"price": offer.prices["Large"]}).status_code == 303
    assert (offer.item().price.id, offer.now().schedule) == (offer.prices["Large"], None)


def test_shorter_interval_waits_where_the_configuration_says_so(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox, **conditions("shortening_interval"))
    portal = offer.portal()
    portal.post(f"{offer.path}/confirm", {"price": offer.prices["Large"]})
    portal.post(f"{offer.path}/confirm", {"price": offer.prices["Small"]})
    assert offer.item().price.id == offer.prices["Large"]
    assert offer.now().schedule is not None


def test_update_flow_leads_to_the_choice_and_ends_it(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox)
    portal = offer.portal(flow_data=offer.flow("subscription_update"))
    assert portal.get().headers["Location"].endswith(f"{offer.path}/change")
    portal.post(f"{offer.path}/confirm", {"price": offer.prices["Small"]})
    assert (portal.get().status_code, offer.item().price.id) == (200, offer.prices["Small"])


def test_prepared_change_may_bring_a_discount(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox, proration_behavior="always_invoice")
    coupon = world.client.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    items = [{"id": offer.item().id, "quantity": 2}]
    flow = offer.flow("subscription_update_confirm", items=items, discounts=[{"coupon": coupon}])
    made = world.client.v1.billing_portal.sessions.create(
        {"customer": offer.customer, "configuration": offer.configuration, "flow_data": flow}
    )
    shown = made.flow.subscription_update_confirm.discounts[0]
    assert (shown.coupon, shown.promotion_code) == (coupon, None)
    assert Portal(sandbox.session, made.url).post(f"{offer.path}/confirm").status_code == 303
    assert (offer.item().quantity, len(offer.now().discounts)) == (2, 1)


def test_flow_for_several_items_or_a_scheduled_change_is_refused(world: World, sandbox: Sandbox) -> None:
    offer = Offer(world, sandbox)
    world.catalogue()
    several = world.subscribe(offer.customer).id
    flow = {"type": "subscription_update", "subscription_update": {"subscription": several}}
    with pytest.raises(stripe.InvalidRequestError, match="several items"):
        offer.portal(flow_data=flow)
    world.client.v1.subscriptions.update(offer.subscription, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError, match="set to change or to be canceled"):
        offer.portal(flow_data=offer.flow("subscription_update"))
