"""What can go wrong with a host or a service."""

from helvetia.kernel.errors import Conflict, HelvetiaError, Invalid, NotFound, Unavailable


class HostUnavailable(Unavailable):
    """The container engine does not answer. Running services are not affected; try again in a moment."""

    code = "host_unavailable"


class ImageNotFound(HelvetiaError):
    """There is no such image on the host. Check its name and tag, and that the host holds it or can pull it."""

    code = "image_not_found"
    status = 422


class ContainerRefused(HelvetiaError):
    """The engine refused to run this container."""

    code = "container_refused"
    status = 422


class ServiceNotFound(NotFound):
    """There is no such service in this account."""

    code = "service_not_found"


class ServiceNameTaken(Conflict):
    """Another service of this account has this name."""

    code = "service_name_taken"


class SameOwner(Conflict):
    """The service belongs to this account already."""

    code = "same_owner"


class InvalidService(Invalid):
    """This service definition is not valid."""

    code = "invalid_service"


class ServiceHeld(Conflict):
    """The service is held and cannot be started until the hold is lifted."""

    code = "service_held"
