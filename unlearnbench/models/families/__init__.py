"""The families of models, one file each, registered as a stranger's would be."""
