"""What stands in front of every route: request id, headers, body bound, last resort, authentication, CSRF."""
