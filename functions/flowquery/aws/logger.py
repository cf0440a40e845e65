"""The logger, made once. Its service name is the stack, from the environment."""

from aws_lambda_powertools import Logger

LOGGER = Logger()
