from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mcgw.v1 import channel_pb2 as _channel_pb2
from mcgw.v1 import datagram_pb2 as _datagram_pb2
from mcgw.v1 import errors_pb2 as _errors_pb2
from mcgw.v1 import events_pb2 as _events_pb2
from mcgw.v1 import membership_pb2 as _membership_pb2
from mcgw.v1 import subscribe_options_pb2 as _subscribe_options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Burst(_message.Message):
    __slots__ = ["destination", "options", "payloads"]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    destination: _datagram_pb2.Destination
    options: _datagram_pb2.SendOptions
    payloads: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, destination: _Optional[_Union[_datagram_pb2.Destination, _Mapping]] = ..., options: _Optional[_Union[_datagram_pb2.SendOptions, _Mapping]] = ..., payloads: _Optional[_Iterable[bytes]] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ["lease", "membership", "session_id"]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    lease: _duration_pb2.Duration
    membership: _membership_pb2.Membership
    session_id: str
    def __init__(self, session_id: _Optional[str] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ..., lease: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ["channels", "lease", "lease_expire_time", "membership_id", "session_id"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[_channel_pb2.ChannelState]
    lease: _duration_pb2.Duration
    lease_expire_time: _timestamp_pb2.Timestamp
    membership_id: int
    session_id: str
    def __init__(self, session_id: _Optional[str] = ..., membership_id: _Optional[int] = ..., lease: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lease_expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., channels: _Optional[_Iterable[_Union[_channel_pb2.ChannelState, _Mapping]]] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ["membership", "membership_id", "session_id", "whole_session"]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    WHOLE_SESSION_FIELD_NUMBER: _ClassVar[int]
    membership: _membership_pb2.MembershipKey
    membership_id: int
    session_id: str
    whole_session: _empty_pb2.Empty
    def __init__(self, session_id: _Optional[str] = ..., membership_id: _Optional[int] = ..., membership: _Optional[_Union[_membership_pb2.MembershipKey, _Mapping]] = ..., whole_session: _Optional[_Union[_empty_pb2.Empty, _Mapping]] = ...) -> None: ...

class LeaveResponse(_message.Message):
    __slots__ = ["membership_ids"]
    MEMBERSHIP_IDS_FIELD_NUMBER: _ClassVar[int]
    membership_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, membership_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class PublishFailure(_message.Message):
    __slots__ = ["failure", "first_item", "interface_name", "item_count"]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ITEM_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    failure: _errors_pb2.Failure
    first_item: int
    interface_name: str
    item_count: int
    def __init__(self, first_item: _Optional[int] = ..., item_count: _Optional[int] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ..., interface_name: _Optional[str] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ["batch_id", "bursts", "session_id"]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    BURSTS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    batch_id: int
    bursts: _containers.RepeatedCompositeFieldContainer[Burst]
    session_id: str
    def __init__(self, batch_id: _Optional[int] = ..., bursts: _Optional[_Iterable[_Union[Burst, _Mapping]]] = ..., session_id: _Optional[str] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ["accepted_items", "batch_id", "failures", "rest_merged"]
    ACCEPTED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    REST_MERGED_FIELD_NUMBER: _ClassVar[int]
    accepted_items: int
    batch_id: int
    failures: _containers.RepeatedCompositeFieldContainer[PublishFailure]
    rest_merged: bool
    def __init__(self, batch_id: _Optional[int] = ..., accepted_items: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[PublishFailure, _Mapping]]] = ..., rest_merged: bool = ...) -> None: ...

class SendRequest(_message.Message):
    __slots__ = ["destination", "options", "payload", "session_id"]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    destination: _datagram_pb2.Destination
    options: _datagram_pb2.SendOptions
    payload: bytes
    session_id: str
    def __init__(self, destination: _Optional[_Union[_datagram_pb2.Destination, _Mapping]] = ..., options: _Optional[_Union[_datagram_pb2.SendOptions, _Mapping]] = ..., payload: _Optional[bytes] = ..., session_id: _Optional[str] = ...) -> None: ...

class SendResponse(_message.Message):
    __slots__ = ["results"]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SendResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SendResult, _Mapping]]] = ...) -> None: ...

class SendResult(_message.Message):
    __slots__ = ["failure", "interface_index", "interface_name", "source_address", "source_port"]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PORT_FIELD_NUMBER: _ClassVar[int]
    failure: _errors_pb2.Failure
    interface_index: int
    interface_name: str
    source_address: str
    source_port: int
    def __init__(self, interface_name: _Optional[str] = ..., interface_index: _Optional[int] = ..., source_address: _Optional[str] = ..., source_port: _Optional[int] = ..., failure: _Optional[_Union[_errors_pb2.Failure, _Mapping]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ["live", "oldest", "resume", "time"]
    class ResumePoints(_message.Message):
        __slots__ = ["points"]
        POINTS_FIELD_NUMBER: _ClassVar[int]
        points: _containers.RepeatedCompositeFieldContainer[_channel_pb2.ResumePoint]
        def __init__(self, points: _Optional[_Iterable[_Union[_channel_pb2.ResumePoint, _Mapping]]] = ...) -> None: ...
    LIVE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    live: _empty_pb2.Empty
    oldest: _empty_pb2.Empty
    resume: Start.ResumePoints
    time: _timestamp_pb2.Timestamp
    def __init__(self, live: _Optional[_Union[_empty_pb2.Empty, _Mapping]] = ..., oldest: _Optional[_Union[_empty_pb2.Empty, _Mapping]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., resume: _Optional[_Union[Start.ResumePoints, _Mapping]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ["memberships", "options", "session_id", "start"]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    memberships: _containers.RepeatedCompositeFieldContainer[_membership_pb2.Membership]
    options: _subscribe_options_pb2.SubscribeOptions
    session_id: str
    start: Start
    def __init__(self, memberships: _Optional[_Iterable[_Union[_membership_pb2.Membership, _Mapping]]] = ..., session_id: _Optional[str] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., options: _Optional[_Union[_subscribe_options_pb2.SubscribeOptions, _Mapping]] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ["datagrams", "events"]
    DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    datagrams: _containers.RepeatedCompositeFieldContainer[_datagram_pb2.Datagram]
    events: _containers.RepeatedCompositeFieldContainer[_events_pb2.Event]
    def __init__(self, datagrams: _Optional[_Iterable[_Union[_datagram_pb2.Datagram, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_events_pb2.Event, _Mapping]]] = ...) -> None: ...
