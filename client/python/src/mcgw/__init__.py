"""Client of mcgw, the gateway between gRPC clients and IP multicast.

`mcgw.v1` holds the messages and stubs, `mcgw.example` a program that shows their use.
"""

__version__ = "0.1.0"
