"""What `make run` and `make sql` show of the loopback AWS."""
