"""Our own words, as frozen values. Knows nothing else."""
