from mcgw.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
JOIN_STATE_FAILED: JoinState
JOIN_STATE_JOINED: JoinState
JOIN_STATE_LEFT: JoinState
JOIN_STATE_UNSPECIFIED: JoinState
JOIN_STATE_WAITING: JoinState

class Channel(_message.Message):
    __slots__ = ["channel_id", "epoch", "group", "interface_index", "interface_name", "next_sequence", "port"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    epoch: int
    group: str
    interface_index: int
    interface_name: str
    next_sequence: int
    port: int
    def __init__(self, channel_id: _Optional[int] = ..., interface_name: _Optional[str] = ..., interface_index: _Optional[int] = ..., group: _Optional[str] = ..., port: _Optional[int] = ..., epoch: _Optional[int] = ..., next_sequence: _Optional[int] = ...) -> None: ...

class ChannelState(_message.Message):
    __slots__ = ["channel", "failure", "state"]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    channel: Channel
    failure: _errors_pb2.Failure
    state: JoinState
    def __init__(self, channel: _Optional[_Union[Channel, _Mapping]] = ..., state: _Optional[_Union[JoinState, str]] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ...) -> None: ...

class ResumePoint(_message.Message):
    __slots__ = ["epoch", "group", "interface_name", "last_receive_time_unix_ns", "next_sequence", "port"]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    LAST_RECEIVE_TIME_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    group: str
    interface_name: str
    last_receive_time_unix_ns: int
    next_sequence: int
    port: int
    def __init__(self, interface_name: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ..., epoch: _Optional[int] = ..., next_sequence: _Optional[int] = ..., last_receive_time_unix_ns: _Optional[int] = ...) -> None: ...

class JoinState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
