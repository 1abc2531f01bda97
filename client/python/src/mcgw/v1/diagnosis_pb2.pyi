from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
FINDING_CODE_ADDRESS: FindingCode
FINDING_CODE_BRIDGE_SNOOPING: FindingCode
FINDING_CODE_CARRIER: FindingCode
FINDING_CODE_CHECKSUMS: FindingCode
FINDING_CODE_DEVICE_DROPS: FindingCode
FINDING_CODE_GROUP_SCOPE: FindingCode
FINDING_CODE_HOP_LIMIT: FindingCode
FINDING_CODE_INTERFACE_EXISTS: FindingCode
FINDING_CODE_INTERFACE_PERMITTED: FindingCode
FINDING_CODE_INTERFACE_UP: FindingCode
FINDING_CODE_INVALID_QUERY: FindingCode
FINDING_CODE_KERNEL_DROPS: FindingCode
FINDING_CODE_LAST_DATAGRAM: FindingCode
FINDING_CODE_LIMITS: FindingCode
FINDING_CODE_LOOPBACK: FindingCode
FINDING_CODE_MEMBERSHIP_IN_KERNEL: FindingCode
FINDING_CODE_MEMBERSHIP_PROTOCOL: FindingCode
FINDING_CODE_MEMBERSHIP_WISHED: FindingCode
FINDING_CODE_MTU: FindingCode
FINDING_CODE_MULTICAST_FLAG: FindingCode
FINDING_CODE_PORT_SHARING: FindingCode
FINDING_CODE_QUERIER: FindingCode
FINDING_CODE_REASSEMBLY: FindingCode
FINDING_CODE_RECEIVE_BUFFER: FindingCode
FINDING_CODE_REVERSE_PATH: FindingCode
FINDING_CODE_ROUTE: FindingCode
FINDING_CODE_SEND_BLOCKED: FindingCode
FINDING_CODE_SOURCE_REQUIRED: FindingCode
FINDING_CODE_UNSPECIFIED: FindingCode
FINDING_SEVERITY_ERROR: FindingSeverity
FINDING_SEVERITY_INFO: FindingSeverity
FINDING_SEVERITY_OK: FindingSeverity
FINDING_SEVERITY_UNKNOWN: FindingSeverity
FINDING_SEVERITY_UNSPECIFIED: FindingSeverity
FINDING_SEVERITY_WARNING: FindingSeverity

class Finding(_message.Message):
    __slots__ = ["channel_id", "code", "interface_name", "remedy", "remedy_command", "seen", "severity", "why"]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_NAME_FIELD_NUMBER: _ClassVar[int]
    REMEDY_COMMAND_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    channel_id: int
    code: FindingCode
    interface_name: str
    remedy: str
    remedy_command: str
    seen: str
    severity: FindingSeverity
    why: str
    def __init__(self, code: _Optional[_Union[FindingCode, str]] = ..., severity: _Optional[_Union[FindingSeverity, str]] = ..., interface_name: _Optional[str] = ..., channel_id: _Optional[int] = ..., seen: _Optional[str] = ..., why: _Optional[str] = ..., remedy_command: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class FindingSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class FindingCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
