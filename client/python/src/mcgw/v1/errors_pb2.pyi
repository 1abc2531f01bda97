from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
ERROR_REASON_CHANNEL_LIMIT: ErrorReason
ERROR_REASON_CHANNEL_NOT_FOUND: ErrorReason
ERROR_REASON_CONFLICTING_FIELDS: ErrorReason
ERROR_REASON_DRAINING: ErrorReason
ERROR_REASON_FIELD_REQUIRED: ErrorReason
ERROR_REASON_GROUP_NOT_ALLOWED: ErrorReason
ERROR_REASON_GROUP_RESERVED: ErrorReason
ERROR_REASON_HOP_LIMIT_NOT_ALLOWED: ErrorReason
ERROR_REASON_HOST_LIMIT: ErrorReason
ERROR_REASON_INTERFACE_AMBIGUOUS: ErrorReason
ERROR_REASON_INTERFACE_DOWN: ErrorReason
ERROR_REASON_INTERFACE_ENSLAVED: ErrorReason
ERROR_REASON_INTERFACE_NOT_ALLOWED: ErrorReason
ERROR_REASON_INTERFACE_NOT_FOUND: ErrorReason
ERROR_REASON_INVALID_ADDRESS: ErrorReason
ERROR_REASON_INVALID_BATCH: ErrorReason
ERROR_REASON_INVALID_HOP_LIMIT: ErrorReason
ERROR_REASON_INVALID_PAGE_TOKEN: ErrorReason
ERROR_REASON_INVALID_PORT: ErrorReason
ERROR_REASON_INVALID_RESUME_POINT: ErrorReason
ERROR_REASON_INVALID_SOURCE: ErrorReason
ERROR_REASON_INVALID_SOURCE_FILTER: ErrorReason
ERROR_REASON_INVALID_TRAFFIC_CLASS: ErrorReason
ERROR_REASON_KERNEL_ERROR: ErrorReason
ERROR_REASON_LOOP_REQUIRED: ErrorReason
ERROR_REASON_MEMBERSHIP_LIMIT: ErrorReason
ERROR_REASON_NOT_A_MULTICAST_GROUP: ErrorReason
ERROR_REASON_NOT_IMPLEMENTED: ErrorReason
ERROR_REASON_NOT_JOINED: ErrorReason
ERROR_REASON_NO_ADDRESS: ErrorReason
ERROR_REASON_NO_CARRIER: ErrorReason
ERROR_REASON_NO_MULTICAST: ErrorReason
ERROR_REASON_NO_ROUTE: ErrorReason
ERROR_REASON_OPERATION_NOT_ALLOWED: ErrorReason
ERROR_REASON_PAYLOAD_TOO_LARGE: ErrorReason
ERROR_REASON_PORT_IN_USE: ErrorReason
ERROR_REASON_RATE_LIMITED: ErrorReason
ERROR_REASON_SCOPE_NEEDS_INTERFACE: ErrorReason
ERROR_REASON_SEND_BLOCKED: ErrorReason
ERROR_REASON_SESSION_LIMIT: ErrorReason
ERROR_REASON_SESSION_NOT_FOUND: ErrorReason
ERROR_REASON_SOURCE_LIMIT: ErrorReason
ERROR_REASON_SOURCE_NOT_LOCAL: ErrorReason
ERROR_REASON_SOURCE_REQUIRED: ErrorReason
ERROR_REASON_SUBSCRIBER_LIMIT: ErrorReason
ERROR_REASON_SUBSCRIBER_NOT_FOUND: ErrorReason
ERROR_REASON_SUBSCRIBER_TOO_SLOW: ErrorReason
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_VALUE_OUT_OF_RANGE: ErrorReason

class Failure(_message.Message):
    __slots__ = ["code", "message", "reason", "remedy"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: ErrorReason
    remedy: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[_Union[ErrorReason, str]] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
