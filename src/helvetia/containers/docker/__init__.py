"""The Docker Engine's wire: its client, what it answers, what it is asked. Only docker_host and demo_image use it."""
