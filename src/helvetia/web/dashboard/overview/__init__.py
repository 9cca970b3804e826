"""The overview: how things stand and what happens next."""
