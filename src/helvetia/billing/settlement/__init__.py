"""Everything that is open, paid with one word: what that is, the paying, and the offer after a new card.

Does not own single payments (`payments`), nor what being paid again brings back (enforcement).
"""
