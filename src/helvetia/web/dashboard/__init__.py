"""The pages: rendered on the server, whole without scripts.

Does not own any figure: a page shows what the services answer, in words and lines.
"""
