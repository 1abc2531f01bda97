from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Datagram(_message.Message):
    __slots__ = ["channel_id", "hop_limit", "payload", "receive_time_unix_ns", "sequence", "source_address", "source_port", "traffic_class"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    HOP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PORT_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    hop_limit: int
    payload: bytes
    receive_time_unix_ns: int
    sequence: int
    source_address: bytes
    source_port: int
    traffic_class: int
    def __init__(self, channel_id: _Optional[int] = ..., sequence: _Optional[int] = ..., source_address: _Optional[bytes] = ..., source_port: _Optional[int] = ..., receive_time_unix_ns: _Optional[int] = ..., hop_limit: _Optional[int] = ..., traffic_class: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Destination(_message.Message):
    __slots__ = ["group", "interface", "port"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    group: str
    interface: str
    port: int
    def __init__(self, interface: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class SendOptions(_message.Message):
    __slots__ = ["dont_fragment", "hop_limit", "loop", "source_address", "traffic_class"]
    DONT_FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    HOP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRAFFIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    dont_fragment: bool
    hop_limit: int
    loop: bool
    source_address: str
    traffic_class: int
    def __init__(self, hop_limit: _Optional[int] = ..., loop: bool = ..., traffic_class: _Optional[int] = ..., source_address: _Optional[str] = ..., dont_fragment: bool = ...) -> None: ...
