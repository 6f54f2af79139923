"""The generators that drew the data which ships with the package."""
