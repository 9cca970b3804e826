"""With what an account pays: known from Stripe, changed in Stripe's portal only."""
