from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
SOURCE_FILTER_MODE_EXCLUDE: SourceFilterMode
SOURCE_FILTER_MODE_INCLUDE: SourceFilterMode
SOURCE_FILTER_MODE_UNSPECIFIED: SourceFilterMode

class Membership(_message.Message):
    __slots__ = ["group", "interface", "port", "source_filter", "wait_for_interface"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_INTERFACE_FIELD_NUMBER: _ClassVar[int]
    group: str
    interface: str
    port: int
    source_filter: SourceFilter
    wait_for_interface: bool
    def __init__(self, interface: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ..., source_filter: _Optional[_Union[SourceFilter, _Mapping]] = ..., wait_for_interface: bool = ...) -> None: ...

class MembershipKey(_message.Message):
    __slots__ = ["group", "interface", "port"]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    group: str
    interface: str
    port: int
    def __init__(self, interface: _Optional[str] = ..., group: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class SourceFilter(_message.Message):
    __slots__ = ["mode", "omitted_sources", "sources"]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OMITTED_SOURCES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    mode: SourceFilterMode
    omitted_sources: int
    sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[_Union[SourceFilterMode, str]] = ..., sources: _Optional[_Iterable[str]] = ..., omitted_sources: _Optional[int] = ...) -> None: ...

class SourceFilterMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
