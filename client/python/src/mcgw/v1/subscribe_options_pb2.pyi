from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
LAG_POLICY_DISCONNECT: LagPolicy
LAG_POLICY_SKIP_OLDEST: LagPolicy
LAG_POLICY_SKIP_TO_LIVE: LagPolicy
LAG_POLICY_UNSPECIFIED: LagPolicy

class SubscribeOptions(_message.Message):
    __slots__ = ["exclude_own", "lag_limit_age", "lag_limit_bytes", "lag_policy", "ledger_interval", "max_batching_delay", "retain"]
    EXCLUDE_OWN_FIELD_NUMBER: _ClassVar[int]
    LAG_LIMIT_AGE_FIELD_NUMBER: _ClassVar[int]
    LAG_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAG_POLICY_FIELD_NUMBER: _ClassVar[int]
    LEDGER_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCHING_DELAY_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    exclude_own: bool
    lag_limit_age: _duration_pb2.Duration
    lag_limit_bytes: int
    lag_policy: LagPolicy
    ledger_interval: _duration_pb2.Duration
    max_batching_delay: _duration_pb2.Duration
    retain: _duration_pb2.Duration
    def __init__(self, lag_limit_bytes: _Optional[int] = ..., lag_limit_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., lag_policy: _Optional[_Union[LagPolicy, str]] = ..., max_batching_delay: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., exclude_own: bool = ..., retain: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., ledger_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LagPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
