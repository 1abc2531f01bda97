from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mcgw.v1 import channel_pb2 as _channel_pb2
from mcgw.v1 import ledger_pb2 as _ledger_pb2
from mcgw.v1 import membership_pb2 as _membership_pb2
from mcgw.v1 import subscribe_options_pb2 as _subscribe_options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
GAP_CAUSE_EXPIRED: GapCause
GAP_CAUSE_INTERFACE_LOST: GapCause
GAP_CAUSE_KERNEL_DROP: GapCause
GAP_CAUSE_LAGGED: GapCause
GAP_CAUSE_NOT_JOINED: GapCause
GAP_CAUSE_OTHER_EPOCH: GapCause
GAP_CAUSE_UNSPECIFIED: GapCause
INTERFACE_LOST_CAUSE_DELETED: InterfaceLostCause
INTERFACE_LOST_CAUSE_DOWN: InterfaceLostCause
INTERFACE_LOST_CAUSE_ENSLAVED: InterfaceLostCause
INTERFACE_LOST_CAUSE_MEMBERSHIP_LOST: InterfaceLostCause
INTERFACE_LOST_CAUSE_NO_CARRIER: InterfaceLostCause
INTERFACE_LOST_CAUSE_UNSPECIFIED: InterfaceLostCause
MEMBERSHIP_CHANGE_CAUSE_INTERFACE_APPEARED: MembershipChangeCause
MEMBERSHIP_CHANGE_CAUSE_INTERFACE_GONE: MembershipChangeCause
MEMBERSHIP_CHANGE_CAUSE_JOIN: MembershipChangeCause
MEMBERSHIP_CHANGE_CAUSE_LEAVE: MembershipChangeCause
MEMBERSHIP_CHANGE_CAUSE_REFUSED: MembershipChangeCause
MEMBERSHIP_CHANGE_CAUSE_UNSPECIFIED: MembershipChangeCause

class Draining(_message.Message):
    __slots__ = ["grace"]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ["draining", "gap", "interface_lost", "interface_renamed", "interface_restored", "ledger", "membership_changed", "position", "subscribed"]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_LOST_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_RENAMED_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_RESTORED_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_CHANGED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBED_FIELD_NUMBER: _ClassVar[int]
    draining: Draining
    gap: Gap
    interface_lost: InterfaceLost
    interface_renamed: InterfaceRenamed
    interface_restored: InterfaceRestored
    ledger: _ledger_pb2.SubscriberLedger
    membership_changed: MembershipChanged
    position: Position
    subscribed: Subscribed
    def __init__(self, subscribed: _Optional[_Union[Subscribed, _Mapping]] = ..., membership_changed: _Optional[_Union[MembershipChanged, _Mapping]] = ..., interface_lost: _Optional[_Union[InterfaceLost, _Mapping]] = ..., interface_restored: _Optional[_Union[InterfaceRestored, _Mapping]] = ..., interface_renamed: _Optional[_Union[InterfaceRenamed, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., ledger: _Optional[_Union[_ledger_pb2.SubscriberLedger, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ["cause", "channel_id", "from_time", "range", "to_time", "unknown"]
    class SequenceRange(_message.Message):
        __slots__ = ["first", "last"]
        FIRST_FIELD_NUMBER: _ClassVar[int]
        LAST_FIELD_NUMBER: _ClassVar[int]
        first: int
        last: int
        def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...
    class UnknownExtent(_message.Message):
        __slots__ = ["at_most", "before_sequence"]
        AT_MOST_FIELD_NUMBER: _ClassVar[int]
        BEFORE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        at_most: int
        before_sequence: int
        def __init__(self, before_sequence: _Optional[int] = ..., at_most: _Optional[int] = ...) -> None: ...
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    TO_TIME_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    cause: GapCause
    channel_id: int
    from_time: _timestamp_pb2.Timestamp
    range: Gap.SequenceRange
    to_time: _timestamp_pb2.Timestamp
    unknown: Gap.UnknownExtent
    def __init__(self, channel_id: _Optional[int] = ..., cause: _Optional[_Union[GapCause, str]] = ..., range: _Optional[_Union[Gap.SequenceRange, _Mapping]] = ..., unknown: _Optional[_Union[Gap.UnknownExtent, _Mapping]] = ..., from_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., to_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class InterfaceLost(_message.Message):
    __slots__ = ["cause", "interface_index", "interface_name", "time"]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    cause: InterfaceLostCause
    interface_index: int
    interface_name: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, interface_name: _Optional[str] = ..., interface_index: _Optional[int] = ..., cause: _Optional[_Union[InterfaceLostCause, str]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class InterfaceRenamed(_message.Message):
    __slots__ = ["interface_index", "new_name", "old_name"]
    INTERFACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    NEW_NAME_FIELD_NUMBER: _ClassVar[int]
    OLD_NAME_FIELD_NUMBER: _ClassVar[int]
    interface_index: int
    new_name: str
    old_name: str
    def __init__(self, interface_index: _Optional[int] = ..., old_name: _Optional[str] = ..., new_name: _Optional[str] = ...) -> None: ...

class InterfaceRestored(_message.Message):
    __slots__ = ["interface_index", "interface_name", "time"]
    INTERFACE_INDEX_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    interface_index: int
    interface_name: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, interface_name: _Optional[str] = ..., interface_index: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MembershipChanged(_message.Message):
    __slots__ = ["cause", "channel", "left", "source_filter"]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILTER_FIELD_NUMBER: _ClassVar[int]
    cause: MembershipChangeCause
    channel: _channel_pb2.ChannelState
    left: bool
    source_filter: _membership_pb2.SourceFilter
    def __init__(self, channel: _Optional[_Union[_channel_pb2.ChannelState, _Mapping]] = ..., cause: _Optional[_Union[MembershipChangeCause, str]] = ..., left: bool = ..., source_filter: _Optional[_Union[_membership_pb2.SourceFilter, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ["channel_id", "epoch", "filtered_datagrams", "next_sequence"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FILTERED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    epoch: int
    filtered_datagrams: int
    next_sequence: int
    def __init__(self, channel_id: _Optional[int] = ..., epoch: _Optional[int] = ..., next_sequence: _Optional[int] = ..., filtered_datagrams: _Optional[int] = ...) -> None: ...

class Subscribed(_message.Message):
    __slots__ = ["channels", "continued", "options", "subscriber_id"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CONTINUED_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[_channel_pb2.ChannelState]
    continued: bool
    options: _subscribe_options_pb2.SubscribeOptions
    subscriber_id: int
    def __init__(self, subscriber_id: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[_channel_pb2.ChannelState, _Mapping]]] = ..., options: _Optional[_Union[_subscribe_options_pb2.SubscribeOptions, _Mapping]] = ..., continued: bool = ...) -> None: ...

class MembershipChangeCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class InterfaceLostCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class GapCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
