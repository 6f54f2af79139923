"""The tasks that ship with unlearnbench; each registers as a plug-in from outside would."""
