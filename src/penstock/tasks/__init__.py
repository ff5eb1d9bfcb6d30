"""Work that outlives the connection: read worker.py first."""
