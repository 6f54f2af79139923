"""Questions and answers of your own, in tables of any layout."""
