"""Differences to usage that an operator decided on."""
