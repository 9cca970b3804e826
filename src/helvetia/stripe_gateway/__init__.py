"""The only importer of the Stripe SDK: a protocol in our own words, and its one implementation.

Does not own any rule of the product.
"""
