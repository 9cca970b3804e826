"""Local processes as containers: their state file and what /proc tells of them. process_host is its face."""
