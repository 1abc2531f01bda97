from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional, Union as _Union

ADDRESS_FAMILY_IPV4: AddressFamily
ADDRESS_FAMILY_IPV6: AddressFamily
ADDRESS_FAMILY_UNSPECIFIED: AddressFamily
DESCRIPTOR: _descriptor.FileDescriptor
GROUP_SCOPE_ADMINISTERED: GroupScope
GROUP_SCOPE_ADMIN_LOCAL: GroupScope
GROUP_SCOPE_GLOBAL: GroupScope
GROUP_SCOPE_INTERFACE_LOCAL: GroupScope
GROUP_SCOPE_LINK_LOCAL: GroupScope
GROUP_SCOPE_ORGANIZATION_LOCAL: GroupScope
GROUP_SCOPE_REALM_LOCAL: GroupScope
GROUP_SCOPE_RESERVED: GroupScope
GROUP_SCOPE_SITE_LOCAL: GroupScope
GROUP_SCOPE_UNSPECIFIED: GroupScope
GROUP_WARNING_CODE_FLOODED_MAC: GroupWarningCode
GROUP_WARNING_CODE_HOP_LIMIT_BELOW_SCOPE: GroupWarningCode
GROUP_WARNING_CODE_HOP_LIMIT_EXCEEDS_SCOPE: GroupWarningCode
GROUP_WARNING_CODE_INTERFACE_REQUIRED: GroupWarningCode
GROUP_WARNING_CODE_RESERVED: GroupWarningCode
GROUP_WARNING_CODE_SOURCE_REQUIRED: GroupWarningCode
GROUP_WARNING_CODE_UNSPECIFIED: GroupWarningCode

class GroupMac(_message.Message):
    __slots__ = ["address", "aliases", "rule"]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    address: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    rule: str
    def __init__(self, address: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., rule: _Optional[str] = ...) -> None: ...

class GroupWarning(_message.Message):
    __slots__ = ["code", "message"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: GroupWarningCode
    message: str
    def __init__(self, code: _Optional[_Union[GroupWarningCode, str]] = ..., message: _Optional[str] = ...) -> None: ...

class WellKnownName(_message.Message):
    __slots__ = ["description", "name", "range", "source"]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    description: str
    name: str
    range: str
    source: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., source: _Optional[str] = ..., range: _Optional[str] = ...) -> None: ...

class AddressFamily(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class GroupScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class GroupWarningCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
