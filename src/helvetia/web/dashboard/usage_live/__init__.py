"""Open usage pages are told new figures as they are read: one feed per account, one stream per page."""
