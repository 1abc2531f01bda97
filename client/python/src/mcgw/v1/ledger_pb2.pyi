from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChannelLedger(_message.Message):
    __slots__ = ["channel_id", "evicted_datagrams", "kernel_dropped_datagrams", "logged_datagrams", "logged_payload_bytes", "mismatched_datagrams", "read_datagrams", "unknown_gaps"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    EVICTED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_DROPPED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    MISMATCHED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    READ_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_GAPS_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    evicted_datagrams: int
    kernel_dropped_datagrams: int
    logged_datagrams: int
    logged_payload_bytes: int
    mismatched_datagrams: int
    read_datagrams: int
    unknown_gaps: int
    def __init__(self, channel_id: _Optional[int] = ..., read_datagrams: _Optional[int] = ..., logged_datagrams: _Optional[int] = ..., kernel_dropped_datagrams: _Optional[int] = ..., mismatched_datagrams: _Optional[int] = ..., evicted_datagrams: _Optional[int] = ..., unknown_gaps: _Optional[int] = ..., logged_payload_bytes: _Optional[int] = ...) -> None: ...

class GatewayLedger(_message.Message):
    __slots__ = ["channels", "send_failed_datagrams", "send_requested_datagrams", "sent_datagrams", "sent_payload_bytes", "subscribers"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    SEND_FAILED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    SEND_REQUESTED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    SENT_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    SENT_PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    channels: ChannelLedger
    send_failed_datagrams: int
    send_requested_datagrams: int
    sent_datagrams: int
    sent_payload_bytes: int
    subscribers: SubscriberLedger
    def __init__(self, channels: _Optional[_Union[ChannelLedger, _Mapping]] = ..., subscribers: _Optional[_Union[SubscriberLedger, _Mapping]] = ..., send_requested_datagrams: _Optional[int] = ..., sent_datagrams: _Optional[int] = ..., send_failed_datagrams: _Optional[int] = ..., sent_payload_bytes: _Optional[int] = ...) -> None: ...

class SocketLedger(_message.Message):
    __slots__ = ["channel_ids", "inode", "kernel_dropped_datagrams", "read_datagrams", "receive_buffer_bytes"]
    CHANNEL_IDS_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_DROPPED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    READ_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_BUFFER_BYTES_FIELD_NUMBER: _ClassVar[int]
    channel_ids: _containers.RepeatedScalarFieldContainer[int]
    inode: int
    kernel_dropped_datagrams: int
    read_datagrams: int
    receive_buffer_bytes: int
    def __init__(self, inode: _Optional[int] = ..., channel_ids: _Optional[_Iterable[int]] = ..., read_datagrams: _Optional[int] = ..., kernel_dropped_datagrams: _Optional[int] = ..., receive_buffer_bytes: _Optional[int] = ...) -> None: ...

class SubscriberLedger(_message.Message):
    __slots__ = ["abandoned_datagrams", "channel_id", "expired_datagrams", "filtered_datagrams", "in_flight_datagrams", "kernel_dropped_datagrams", "lagged_datagrams", "offered_datagrams", "pending_datagrams", "range_gaps", "subscriber_id", "unknown_gaps", "written_bytes", "written_datagrams"]
    ABANDONED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    FILTERED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_DROPPED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    LAGGED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    OFFERED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    PENDING_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    RANGE_GAPS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_GAPS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    abandoned_datagrams: int
    channel_id: int
    expired_datagrams: int
    filtered_datagrams: int
    in_flight_datagrams: int
    kernel_dropped_datagrams: int
    lagged_datagrams: int
    offered_datagrams: int
    pending_datagrams: int
    range_gaps: int
    subscriber_id: int
    unknown_gaps: int
    written_bytes: int
    written_datagrams: int
    def __init__(self, subscriber_id: _Optional[int] = ..., channel_id: _Optional[int] = ..., offered_datagrams: _Optional[int] = ..., written_datagrams: _Optional[int] = ..., filtered_datagrams: _Optional[int] = ..., kernel_dropped_datagrams: _Optional[int] = ..., lagged_datagrams: _Optional[int] = ..., expired_datagrams: _Optional[int] = ..., in_flight_datagrams: _Optional[int] = ..., pending_datagrams: _Optional[int] = ..., abandoned_datagrams: _Optional[int] = ..., range_gaps: _Optional[int] = ..., unknown_gaps: _Optional[int] = ..., written_bytes: _Optional[int] = ...) -> None: ...
