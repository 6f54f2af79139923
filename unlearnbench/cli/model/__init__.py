"""Verbs about single models, one file each: such as come from elsewhere, and such as are taken away or asked."""
