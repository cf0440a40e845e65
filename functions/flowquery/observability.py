"""The logger and the metrics, made once. Service and namespace come from the environment."""

from aws_lambda_powertools import Logger, Metrics

LOGGER = Logger()
METRICS = Metrics()
