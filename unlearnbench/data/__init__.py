"""Data: identities and their questions, yes/no questions about pictures, where they come from and what is generated."""
