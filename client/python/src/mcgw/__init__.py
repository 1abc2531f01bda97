"""Client of mcgw, the gateway between gRPC clients and IP multicast.

`mcgw.v1` has the messages and stubs; `mcgw.example` is a program that shows their use.
"""

__version__ = "0.1.0"
