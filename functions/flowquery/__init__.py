"""Flowquery: what the Lambda functions share."""
