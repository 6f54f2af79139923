"""Models: the contract, the families that fulfil it, cards, loading, and what methods change of them."""
