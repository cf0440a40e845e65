"""Flowquery: what the Lambda functions share."""

import gc

VERSION = "0.1.0"

# What imports make stays: collecting meanwhile finds next to nothing, and takes a twentieth of a cold start.
gc.set_threshold(20_000)
