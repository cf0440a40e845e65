"""Exceptions raised by the networkflowmonitor service; their HTTP codes come from the botocore service model."""

from moto.core.exceptions import ServiceException


class NetworkFlowMonitorException(ServiceException):
    # moto finds the service model by the name of this module, which has to be the one in its own namespace.
    __module__ = "moto.networkflowmonitor.exceptions"


class ValidationException(NetworkFlowMonitorException):
    __module__ = "moto.networkflowmonitor.exceptions"
    code = "ValidationException"


class ResourceNotFoundException(NetworkFlowMonitorException):
    __module__ = "moto.networkflowmonitor.exceptions"
    code = "ResourceNotFoundException"


def modelled(code: str) -> NetworkFlowMonitorException:
    return NetworkFlowMonitorException(code, f"{code}, as the script says")
