"""Helvetia Billing: the Stripe billing integration of Helvetia Cloud.

money:   container → sample → usage → rating → Stripe → invoice
control: Stripe → webhook → subscription → enforcement → container

`require_active_subscription` and `enforce_resource_limits` are FastAPI dependencies, for this and other applications;
they are loaded when first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helvetia.web.middleware.enforcement import enforce_resource_limits, require_active_subscription

__all__ = ["enforce_resource_limits", "require_active_subscription"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from helvetia.web.middleware import enforcement

    return getattr(enforcement, name)
