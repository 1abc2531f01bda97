"""Messages and stubs of the package multicast.gateway.v1, generated from its protos."""
