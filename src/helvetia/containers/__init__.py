"""What runs: services (a customer's wish), their holds, and the hosts that run their containers.

Does not own usage (metering reads the hosts through the same protocol) nor the decision to hold (enforcement's).
"""
