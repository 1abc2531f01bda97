from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mcgw.v1 import channel_pb2 as _channel_pb2
from mcgw.v1 import diagnosis_pb2 as _diagnosis_pb2
from mcgw.v1 import group_pb2 as _group_pb2
from mcgw.v1 import ledger_pb2 as _ledger_pb2
from mcgw.v1 import membership_pb2 as _membership_pb2
from mcgw.v1 import network_interface_pb2 as _network_interface_pb2
from mcgw.v1 import subscribe_options_pb2 as _subscribe_options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
HOLDER_KIND_GATEWAY: HolderKind
HOLDER_KIND_RETAINED: HolderKind
HOLDER_KIND_SESSION: HolderKind
HOLDER_KIND_STREAM: HolderKind
HOLDER_KIND_UNSPECIFIED: HolderKind

class ChannelFact(_message.Message):
    __slots__ = ["host_users", "joined", "receive_buffer_bytes", "receive_queue_bytes", "shared", "socket_inodes", "source_filter"]
    HOST_USERS_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_BUFFER_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_QUEUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    SOCKET_INODES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILTER_FIELD_NUMBER: _ClassVar[int]
    host_users: int
    joined: bool
    receive_buffer_bytes: int
    receive_queue_bytes: int
    shared: bool
    socket_inodes: _containers.RepeatedScalarFieldContainer[int]
    source_filter: _membership_pb2.SourceFilter
    def __init__(self, joined: bool = ..., source_filter: _Optional[_Union[_membership_pb2.SourceFilter, _Mapping]] = ..., host_users: _Optional[int] = ..., socket_inodes: _Optional[_Iterable[int]] = ..., shared: bool = ..., receive_buffer_bytes: _Optional[int] = ..., receive_queue_bytes: _Optional[int] = ...) -> None: ...

class ChannelInfo(_message.Message):
    __slots__ = ["create_time", "fact", "last_datagram_time", "last_source_address", "ledger", "log", "state", "wish"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    LAST_DATAGRAM_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    fact: ChannelFact
    last_datagram_time: _timestamp_pb2.Timestamp
    last_source_address: str
    ledger: _ledger_pb2.ChannelLedger
    log: ChannelLogInfo
    state: _channel_pb2.ChannelState
    wish: ChannelWish
    def __init__(self, state: _Optional[_Union[_channel_pb2.ChannelState, _Mapping]] = ..., wish: _Optional[_Union[ChannelWish, _Mapping]] = ..., fact: _Optional[_Union[ChannelFact, _Mapping]] = ..., ledger: _Optional[_Union[_ledger_pb2.ChannelLedger, _Mapping]] = ..., log: _Optional[_Union[ChannelLogInfo, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_datagram_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_source_address: _Optional[str] = ...) -> None: ...

class ChannelLogInfo(_message.Message):
    __slots__ = ["bytes", "limit_age", "limit_bytes", "oldest_sequence", "oldest_time"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_AGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    limit_age: _duration_pb2.Duration
    limit_bytes: int
    oldest_sequence: int
    oldest_time: _timestamp_pb2.Timestamp
    def __init__(self, oldest_sequence: _Optional[int] = ..., bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., oldest_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., limit_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ChannelWish(_message.Message):
    __slots__ = ["holder_count", "holders", "source_filter"]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_COUNT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILTER_FIELD_NUMBER: _ClassVar[int]
    holder_count: int
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    source_filter: _membership_pb2.SourceFilter
    def __init__(self, source_filter: _Optional[_Union[_membership_pb2.SourceFilter, _Mapping]] = ..., holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., holder_count: _Optional[int] = ...) -> None: ...

class DescribeGroupRequest(_message.Message):
    __slots__ = ["group", "hop_limit"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    HOP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    group: str
    hop_limit: int
    def __init__(self, group: _Optional[str] = ..., hop_limit: _Optional[int] = ...) -> None: ...

class DescribeGroupResponse(_message.Message):
    __slots__ = ["advised_hop_limit", "family", "group", "join_refused", "mac", "scope", "scope_description", "send_refused", "source_specific", "warnings", "well_known_name"]
    ADVISED_HOP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    JOIN_REFUSED_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    SCOPE_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SEND_REFUSED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SPECIFIC_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WELL_KNOWN_NAME_FIELD_NUMBER: _ClassVar[int]
    advised_hop_limit: int
    family: _group_pb2.AddressFamily
    group: str
    join_refused: bool
    mac: _group_pb2.GroupMac
    scope: _group_pb2.GroupScope
    scope_description: str
    send_refused: bool
    source_specific: bool
    warnings: _containers.RepeatedCompositeFieldContainer[_group_pb2.GroupWarning]
    well_known_name: _group_pb2.WellKnownName
    def __init__(self, group: _Optional[str] = ..., family: _Optional[_Union[_group_pb2.AddressFamily, str]] = ..., scope: _Optional[_Union[_group_pb2.GroupScope, str]] = ..., scope_description: _Optional[str] = ..., well_known_name: _Optional[_Union[_group_pb2.WellKnownName, _Mapping]] = ..., mac: _Optional[_Union[_group_pb2.GroupMac, _Mapping]] = ..., advised_hop_limit: _Optional[int] = ..., source_specific: bool = ..., send_refused: bool = ..., join_refused: bool = ..., warnings: _Optional[_Iterable[_Union[_group_pb2.GroupWarning, _Mapping]]] = ...) -> None: ...

class DiagnoseRequest(_message.Message):
    __slots__ = ["group", "interface", "port", "source_address"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    group: str
    interface: str
    port: int
    source_address: str
    def __init__(self, interface: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ..., source_address: _Optional[str] = ...) -> None: ...

class DiagnoseResponse(_message.Message):
    __slots__ = ["findings"]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[_diagnosis_pb2.Finding]
    def __init__(self, findings: _Optional[_Iterable[_Union[_diagnosis_pb2.Finding, _Mapping]]] = ...) -> None: ...

class GetLedgerRequest(_message.Message):
    __slots__ = ["channel_id", "page_size", "page_token", "subscriber_id"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    page_size: int
    page_token: str
    subscriber_id: int
    def __init__(self, channel_id: _Optional[int] = ..., subscriber_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetLedgerResponse(_message.Message):
    __slots__ = ["channels", "gateway", "next_page_token", "read_time", "sockets", "subscriber_total", "subscribers"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    SOCKETS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_TOTAL_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.ChannelLedger]
    gateway: _ledger_pb2.GatewayLedger
    next_page_token: str
    read_time: _timestamp_pb2.Timestamp
    sockets: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.SocketLedger]
    subscriber_total: _ledger_pb2.SubscriberLedger
    subscribers: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.SubscriberLedger]
    def __init__(self, gateway: _Optional[_Union[_ledger_pb2.GatewayLedger, _Mapping]] = ..., channels: _Optional[_Iterable[_Union[_ledger_pb2.ChannelLedger, _Mapping]]] = ..., sockets: _Optional[_Iterable[_Union[_ledger_pb2.SocketLedger, _Mapping]]] = ..., subscribers: _Optional[_Iterable[_Union[_ledger_pb2.SubscriberLedger, _Mapping]]] = ..., subscriber_total: _Optional[_Union[_ledger_pb2.SubscriberLedger, _Mapping]] = ..., read_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ["create_time", "expire_time", "identity", "kind", "membership", "membership_id", "subscriber_id"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    identity: str
    kind: HolderKind
    membership: _membership_pb2.Membership
    membership_id: int
    subscriber_id: int
    def __init__(self, kind: _Optional[_Union[HolderKind, str]] = ..., membership: _Optional[_Union[_membership_pb2.Membership, _Mapping]] = ..., membership_id: _Optional[int] = ..., subscriber_id: _Optional[int] = ..., identity: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListChannelsRequest(_message.Message):
    __slots__ = ["group", "interface", "page_size", "page_token", "port"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    group: str
    interface: str
    page_size: int
    page_token: str
    port: int
    def __init__(self, interface: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListChannelsResponse(_message.Message):
    __slots__ = ["channels", "next_page_token"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[ChannelInfo]
    next_page_token: str
    def __init__(self, channels: _Optional[_Iterable[_Union[ChannelInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListInterfacesRequest(_message.Message):
    __slots__ = ["interface", "page_size", "page_token"]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    interface: str
    page_size: int
    page_token: str
    def __init__(self, interface: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInterfacesResponse(_message.Message):
    __slots__ = ["interfaces", "ipv4_source_port", "ipv6_source_port", "next_page_token"]
    INTERFACES_FIELD_NUMBER: _ClassVar[int]
    IPV4_SOURCE_PORT_FIELD_NUMBER: _ClassVar[int]
    IPV6_SOURCE_PORT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    interfaces: _containers.RepeatedCompositeFieldContainer[_network_interface_pb2.NetworkInterface]
    ipv4_source_port: int
    ipv6_source_port: int
    next_page_token: str
    def __init__(self, interfaces: _Optional[_Iterable[_Union[_network_interface_pb2.NetworkInterface, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., ipv4_source_port: _Optional[int] = ..., ipv6_source_port: _Optional[int] = ...) -> None: ...

class ListSubscribersRequest(_message.Message):
    __slots__ = ["channel_id", "page_size", "page_token"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    page_size: int
    page_token: str
    def __init__(self, channel_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSubscribersResponse(_message.Message):
    __slots__ = ["next_page_token", "subscribers"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    subscribers: _containers.RepeatedCompositeFieldContainer[SubscriberInfo]
    def __init__(self, subscribers: _Optional[_Iterable[_Union[SubscriberInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SubscriberInfo(_message.Message):
    __slots__ = ["channel_count", "create_time", "has_session", "identity", "lag", "ledger", "options", "peer", "pinned_bytes", "subscriber_id"]
    CHANNEL_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    HAS_SESSION_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    PINNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    channel_count: int
    create_time: _timestamp_pb2.Timestamp
    has_session: bool
    identity: str
    lag: SubscriberLag
    ledger: _ledger_pb2.SubscriberLedger
    options: _subscribe_options_pb2.SubscribeOptions
    peer: str
    pinned_bytes: int
    subscriber_id: int
    def __init__(self, subscriber_id: _Optional[int] = ..., peer: _Optional[str] = ..., identity: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., options: _Optional[_Union[_subscribe_options_pb2.SubscribeOptions, _Mapping]] = ..., has_session: bool = ..., channel_count: _Optional[int] = ..., ledger: _Optional[_Union[_ledger_pb2.SubscriberLedger, _Mapping]] = ..., lag: _Optional[_Union[SubscriberLag, _Mapping]] = ..., pinned_bytes: _Optional[int] = ...) -> None: ...

class SubscriberLag(_message.Message):
    __slots__ = ["age", "bytes", "channel_id", "datagrams", "next_sequence"]
    AGE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    age: _duration_pb2.Duration
    bytes: int
    channel_id: int
    datagrams: int
    next_sequence: int
    def __init__(self, channel_id: _Optional[int] = ..., next_sequence: _Optional[int] = ..., datagrams: _Optional[int] = ..., bytes: _Optional[int] = ..., age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HolderKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
