"""The HTTP border: the API, the pages, and what stands in front of both (authentication, CSRF, headers, problems).

Does not own any rule: each route asks a service.
"""
