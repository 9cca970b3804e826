"""Where Stripe's checkout leads back to: what came of it, told from our own records."""
