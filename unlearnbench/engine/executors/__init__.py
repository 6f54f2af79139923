"""Who computes cells: worker processes of this machine, or jobs of a cluster."""
