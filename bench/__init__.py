"""What `make bench` runs: how fast the gateway is on one core, beside nginx. Tests never time anything; this does."""
