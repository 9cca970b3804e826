"""The demo accounts of `helvetia up`: one FREE, one PRO with live services. Made once; a second start finds them."""

from decimal import Decimal

from dishka import AsyncContainer

from helvetia.accounts.model import User
from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers.errors import ServiceNameTaken
from helvetia.containers.model import ServiceDefinition, Volume
from helvetia.containers.service import ContainerService
from helvetia.subscriptions.service import SubscriptionService

DEMO_IMAGE = "helvetia/demo:latest"
PASSWORD = "matterhorn-4478"  # noqa: S105 - of demo accounts, which exist on loopback with the sandbox only
FREE_EMAIL = "free@demo.example"
PRO_EMAIL = "pro@demo.example"


def _demo(name: str, memory_mb: int, **env: str) -> ServiceDefinition:
    return ServiceDefinition(
        name=name,
        image=DEMO_IMAGE,
        env=env,
        memory_mb=memory_mb,
        cpu_cores=Decimal("0.25"),
        volumes=[Volume(name="data", path="/data")] if name == "store" else [],
    )


PRO_SERVICES = (
    _demo("web", 128, MEMORY_MB="48", SEND_BYTES_PER_S="20000"),
    _demo("worker", 96, MEMORY_MB="24"),
    _demo("store", 128, MEMORY_MB="32", DISK_MB="64"),
)
FREE_SERVICES = (_demo("hello", 64, MEMORY_MB="16"),)


async def make_demo_accounts(house: AsyncContainer) -> list[str]:
    """Make what is missing; returns the lines to print."""
    free = await _user(house, FREE_EMAIL)
    pro = await _user(house, PRO_EMAIL)
    subscription = await (await house.get(SubscriptionService)).get_subscription(pro.account_id)
    if subscription.plan is SubscriptionPlan.FREE:
        billing = await house.get(BillingService)
        await billing.get_or_create_customer(pro.account_id)
        await billing.create_subscription(pro.account_id, SubscriptionPlan.PRO, "pm_card_visa")
    services = await house.get(ContainerService)
    for user, definitions in ((free, FREE_SERVICES), (pro, PRO_SERVICES)):
        for definition in definitions:
            await _create_once(services, user, definition)
    return [
        f"Sign in as {PRO_EMAIL} (Pro) or {FREE_EMAIL} (Free), password {PASSWORD}",
    ]


async def _user(house: AsyncContainer, email: str) -> User:
    accounts = await house.get(AccountService)
    return await accounts.find_user_by_email(email) or await accounts.create_user(email, PASSWORD)


async def _create_once(services: ContainerService, user: User, definition: ServiceDefinition) -> None:
    if definition.name in {one.definition.name for one in await services.list_services(user.account_id)}:
        return
    try:
        await services.create_service(user.account_id, definition)
    except ServiceNameTaken:
        return
