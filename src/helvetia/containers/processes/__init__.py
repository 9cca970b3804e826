"""Local processes as containers: their state file and what /proc tells of them. Only process_host uses it."""
