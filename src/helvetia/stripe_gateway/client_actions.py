"""The half of the client that moves money and opens Stripe's pages; StripeClientGateway inherits it."""

from collections.abc import Sequence

import stripe

from helvetia.stripe_gateway import action_params as params
from helvetia.stripe_gateway.actions import (
    Charge,
    CheckoutSession,
    InvoiceItem,
    NewCheckout,
    NewInvoiceItem,
    NewPortalSession,
    PaymentIntent,
    PaymentMethod,
    PlanChange,
    PortalConfiguration,
    PortalSession,
    Refund,
    Schedule,
    ScheduledChange,
)
from helvetia.stripe_gateway.convert_actions import (
    from_stripe_charge,
    from_stripe_checkout_session,
    from_stripe_invoice_item,
    from_stripe_payment_intent,
    from_stripe_payment_method,
    from_stripe_portal_configuration,
    from_stripe_portal_session,
    from_stripe_refund,
    from_stripe_schedule,
)
from helvetia.stripe_gateway.convert_invoice import from_stripe_invoice
from helvetia.stripe_gateway.convert_subscription import from_stripe_subscription
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.fields import read_path, read_rows
from helvetia.stripe_gateway.model import Invoice, Subscription
from helvetia.stripe_gateway.transport import all_pages, call, refuse_transaction

PAGE_SIZE = 100
_WITH_PAYMENTS = ["payments"]


class StripeClientActions:
    """Every method refuses to run inside a transaction and ends in time."""

    _client: stripe.StripeClient

    async def create_checkout_session(self, new: NewCheckout) -> CheckoutSession:
        refuse_transaction()
        made = self._client.v1.checkout.sessions.create_async(
            params.of_new_checkout(new), options={"idempotency_key": new.idempotency_key}
        )
        return from_stripe_checkout_session(await call(made))

    async def retrieve_checkout_session(self, session_id: str) -> CheckoutSession:
        refuse_transaction()
        return from_stripe_checkout_session(await call(self._client.v1.checkout.sessions.retrieve_async(session_id)))

    async def list_open_checkout_sessions(self, customer_id: str) -> Sequence[CheckoutSession]:
        refuse_transaction()
        answer = await call(
            self._client.v1.checkout.sessions.list_async(
                {"customer": customer_id, "status": "open", "limit": PAGE_SIZE}
            )
        )
        return tuple(from_stripe_checkout_session(raw) for raw in read_rows(answer))

    async def expire_checkout_session(self, session_id: str) -> None:
        refuse_transaction()
        await call(self._client.v1.checkout.sessions.expire_async(session_id))

    async def create_portal_session(self, new: NewPortalSession) -> PortalSession:
        refuse_transaction()
        made = self._client.v1.billing_portal.sessions.create_async(params.of_new_portal_session(new))
        return from_stripe_portal_session(await call(made))

    async def list_portal_configurations(self) -> Sequence[PortalConfiguration]:
        refuse_transaction()
        answer = await call(
            self._client.v1.billing_portal.configurations.list_async({"active": True, "limit": PAGE_SIZE})
        )
        return tuple(from_stripe_portal_configuration(raw) for raw in read_rows(answer))

    async def create_portal_configuration(self, *, version: str, return_url: str) -> PortalConfiguration:
        refuse_transaction()
        made = self._client.v1.billing_portal.configurations.create_async(
            params.of_new_portal_configuration(version, return_url), options={"idempotency_key": f"portal:{version}"}
        )
        return from_stripe_portal_configuration(await call(made))

    async def preview_change(self, change: PlanChange) -> Invoice:
        refuse_transaction()
        return from_stripe_invoice(await call(self._client.v1.invoices.create_preview_async(params.of_preview(change))))

    async def change_plan(self, change: PlanChange, idempotency_key: str) -> Subscription:
        refuse_transaction()
        changed = self._client.v1.subscriptions.update_async(
            change.subscription_id, params.of_change(change), options={"idempotency_key": idempotency_key}
        )
        return from_stripe_subscription(await call(changed))

    async def set_cancel_at_period_end(self, subscription_id: str, *, wanted: bool) -> Subscription:
        refuse_transaction()
        if wanted:
            changed = self._client.v1.subscriptions.update_async(subscription_id, {"cancel_at_period_end": True})
        else:
            # The portal plans an end by cancel_at alone, so both are cleared.
            changed = self._client.v1.subscriptions.update_async(subscription_id, {"cancel_at": ""})
        return from_stripe_subscription(await call(changed))

    async def cancel_subscription_now(self, subscription_id: str) -> Subscription:
        refuse_transaction()
        ended = self._client.v1.subscriptions.cancel_async(subscription_id, {"invoice_now": True})
        return from_stripe_subscription(await call(ended))

    async def set_default_payment_method(self, customer_id: str, payment_method_id: str) -> None:
        refuse_transaction()
        settings = self._client.v1.customers.update_async(
            customer_id, {"invoice_settings": {"default_payment_method": payment_method_id}}
        )
        await call(settings)

    async def clear_subscription_payment_method(self, subscription_id: str) -> None:
        refuse_transaction()
        await call(self._client.v1.subscriptions.update_async(subscription_id, {"default_payment_method": ""}))

    async def retrieve_schedule(self, schedule_id: str) -> Schedule:
        refuse_transaction()
        return from_stripe_schedule(await call(self._client.v1.subscription_schedules.retrieve_async(schedule_id)))

    async def create_schedule(self, subscription_id: str) -> Schedule:
        refuse_transaction()
        made = self._client.v1.subscription_schedules.create_async({"from_subscription": subscription_id})
        return from_stripe_schedule(await call(made))

    async def schedule_change(self, change: ScheduledChange) -> Schedule:
        refuse_transaction()
        changed = self._client.v1.subscription_schedules.update_async(
            change.schedule_id, params.of_scheduled_change(change)
        )
        return from_stripe_schedule(await call(changed))

    async def release_schedule(self, schedule_id: str) -> None:
        refuse_transaction()
        await call(self._client.v1.subscription_schedules.release_async(schedule_id))

    async def pay_invoice(self, invoice_id: str) -> Invoice:
        refuse_transaction()
        return from_stripe_invoice(
            await call(self._client.v1.invoices.pay_async(invoice_id, {"expand": _WITH_PAYMENTS}))
        )

    async def void_invoice(self, invoice_id: str) -> None:
        refuse_transaction()
        await call(self._client.v1.invoices.void_invoice_async(invoice_id))

    async def finalize_invoice(self, invoice_id: str) -> None:
        refuse_transaction()
        await call(self._client.v1.invoices.finalize_invoice_async(invoice_id, {"auto_advance": False}))

    async def retrieve_payment_intent(self, payment_intent_id: str) -> PaymentIntent:
        refuse_transaction()
        return from_stripe_payment_intent(await call(self._client.v1.payment_intents.retrieve_async(payment_intent_id)))

    async def list_payment_methods(self, customer_id: str) -> Sequence[PaymentMethod]:
        refuse_transaction()
        answer = await call(self._client.v1.customers.payment_methods.list_async(customer_id, {"limit": PAGE_SIZE}))
        return tuple(from_stripe_payment_method(raw) for raw in read_rows(answer))

    async def list_charges(self, customer_id: str) -> Sequence[Charge]:
        refuse_transaction()
        found = await all_pages(self._client.v1.charges.list_async, {"customer": customer_id})
        return tuple(from_stripe_charge(raw) for raw in found)

    async def list_refunds(self, charge_id: str) -> Sequence[Refund]:
        refuse_transaction()
        answer = await call(self._client.v1.refunds.list_async({"charge": charge_id, "limit": PAGE_SIZE}))
        return tuple(from_stripe_refund(raw) for raw in read_rows(answer))

    async def cancel_meter_event(self, event_name: str, identifier: str, *, key: str) -> None:
        refuse_transaction()
        answer = await call(
            self._client.v1.billing.meter_event_adjustments.create_async(
                {"event_name": event_name, "type": "cancel", "cancel": {"identifier": identifier}},
                options={"idempotency_key": key},
            )
        )
        found = read_path(answer, "cancel", "identifier")
        if found != identifier:  # somebody else's answer: in doubt, and safe to repeat
            raise StripeUnavailable(expected=identifier, found=str(found))

    async def create_invoice_item(self, new: NewInvoiceItem) -> InvoiceItem:
        refuse_transaction()
        made = self._client.v1.invoice_items.create_async(
            params.of_new_invoice_item(new), options={"idempotency_key": f"usage-task:{new.task_id}"}
        )
        return from_stripe_invoice_item(await call(made))

    async def list_invoice_items(self, customer_id: str) -> Sequence[InvoiceItem]:
        refuse_transaction()
        found = await all_pages(self._client.v1.invoice_items.list_async, {"customer": customer_id})
        return tuple(from_stripe_invoice_item(raw) for raw in found)

    async def invoice_pending_items(self, customer_id: str, *, key: str) -> str:
        refuse_transaction()
        made = self._client.v1.invoices.create_async(
            {
                "customer": customer_id,
                "auto_advance": True,
                "collection_method": "charge_automatically",
                "pending_invoice_items_behavior": "include",
            },
            options={"idempotency_key": key},
        )
        return from_stripe_invoice(await call(made)).invoice_id
