"""What an operator sees of the whole house: counts, and the list behind each of them.

Does not own any rule: it asks the packages below and only counts and lists.
"""
