"""The wire: what requests may say and what answers hold, in camelCase."""
