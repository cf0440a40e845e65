"""What `make gaps` and `make backfill` run: commands on a deployed stack."""
