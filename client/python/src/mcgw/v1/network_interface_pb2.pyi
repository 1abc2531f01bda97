from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
INTERFACE_FLAG_ALLMULTI: InterfaceFlag
INTERFACE_FLAG_BROADCAST: InterfaceFlag
INTERFACE_FLAG_LOOPBACK: InterfaceFlag
INTERFACE_FLAG_MULTICAST: InterfaceFlag
INTERFACE_FLAG_NO_ARP: InterfaceFlag
INTERFACE_FLAG_POINT_TO_POINT: InterfaceFlag
INTERFACE_FLAG_PROMISCUOUS: InterfaceFlag
INTERFACE_FLAG_RUNNING: InterfaceFlag
INTERFACE_FLAG_UNSPECIFIED: InterfaceFlag
INTERFACE_FLAG_UP: InterfaceFlag
STAR_EXCLUSION_CONTAINER_VETH: StarExclusion
STAR_EXCLUSION_DOWN: StarExclusion
STAR_EXCLUSION_ENSLAVED: StarExclusion
STAR_EXCLUSION_LOOPBACK: StarExclusion
STAR_EXCLUSION_NOT_PERMITTED: StarExclusion
STAR_EXCLUSION_NO_ADDRESS: StarExclusion
STAR_EXCLUSION_NO_MULTICAST: StarExclusion
STAR_EXCLUSION_UNSPECIFIED: StarExclusion
STAR_EXCLUSION_VRF: StarExclusion

class InterfaceCounters(_message.Message):
    __slots__ = ["device_multicast_packets", "device_receive_dropped_packets", "kernel_dropped_datagrams", "losses", "read_datagrams", "send_failed_datagrams", "sent_datagrams"]
    DEVICE_MULTICAST_PACKETS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_RECEIVE_DROPPED_PACKETS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_DROPPED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    READ_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    SEND_FAILED_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    SENT_DATAGRAMS_FIELD_NUMBER: _ClassVar[int]
    device_multicast_packets: int
    device_receive_dropped_packets: int
    kernel_dropped_datagrams: int
    losses: int
    read_datagrams: int
    send_failed_datagrams: int
    sent_datagrams: int
    def __init__(self, device_multicast_packets: _Optional[int] = ..., device_receive_dropped_packets: _Optional[int] = ..., read_datagrams: _Optional[int] = ..., kernel_dropped_datagrams: _Optional[int] = ..., sent_datagrams: _Optional[int] = ..., send_failed_datagrams: _Optional[int] = ..., losses: _Optional[int] = ...) -> None: ...

class InterfaceFamily(_message.Message):
    __slots__ = ["default_interface", "kernel_membership_count", "kernel_memberships", "membership_protocol_version", "star_exclusions", "wished_memberships"]
    DEFAULT_INTERFACE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_MEMBERSHIP_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    STAR_EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    WISHED_MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    default_interface: bool
    kernel_membership_count: int
    kernel_memberships: _containers.RepeatedCompositeFieldContainer[KernelMembership]
    membership_protocol_version: int
    star_exclusions: _containers.RepeatedScalarFieldContainer[StarExclusion]
    wished_memberships: int
    def __init__(self, membership_protocol_version: _Optional[int] = ..., star_exclusions: _Optional[_Iterable[_Union[StarExclusion, str]]] = ..., default_interface: bool = ..., wished_memberships: _Optional[int] = ..., kernel_memberships: _Optional[_Iterable[_Union[KernelMembership, _Mapping]]] = ..., kernel_membership_count: _Optional[int] = ...) -> None: ...

class KernelMembership(_message.Message):
    __slots__ = ["gateway_users", "group", "users"]
    GATEWAY_USERS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    gateway_users: int
    group: str
    users: int
    def __init__(self, group: _Optional[str] = ..., users: _Optional[int] = ..., gateway_users: _Optional[int] = ...) -> None: ...

class NetworkInterface(_message.Message):
    __slots__ = ["addresses", "alternative_names", "carrier", "counters", "flags", "index", "ipv4", "ipv6", "kind", "lost", "mac_address", "master_name", "mtu_bytes", "name", "permitted"]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVE_NAMES_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    IPV4_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    MAC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MASTER_NAME_FIELD_NUMBER: _ClassVar[int]
    MTU_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERMITTED_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    alternative_names: _containers.RepeatedScalarFieldContainer[str]
    carrier: bool
    counters: InterfaceCounters
    flags: _containers.RepeatedScalarFieldContainer[InterfaceFlag]
    index: int
    ipv4: InterfaceFamily
    ipv6: InterfaceFamily
    kind: str
    lost: bool
    mac_address: str
    master_name: str
    mtu_bytes: int
    name: str
    permitted: bool
    def __init__(self, name: _Optional[str] = ..., index: _Optional[int] = ..., flags: _Optional[_Iterable[_Union[InterfaceFlag, str]]] = ..., addresses: _Optional[_Iterable[str]] = ..., mac_address: _Optional[str] = ..., mtu_bytes: _Optional[int] = ..., carrier: bool = ..., kind: _Optional[str] = ..., master_name: _Optional[str] = ..., permitted: bool = ..., ipv4: _Optional[_Union[InterfaceFamily, _Mapping]] = ..., ipv6: _Optional[_Union[InterfaceFamily, _Mapping]] = ..., counters: _Optional[_Union[InterfaceCounters, _Mapping]] = ..., lost: bool = ..., alternative_names: _Optional[_Iterable[str]] = ...) -> None: ...

class InterfaceFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class StarExclusion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
