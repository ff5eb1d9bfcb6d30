"""What `gateway.perform` does for each command, one file per kind: work, files, and the shelf of models."""
