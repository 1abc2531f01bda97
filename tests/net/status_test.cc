#include "server/net/status.h"

#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

TEST(Error, CarriesTheCodeReasonFieldAndText) {
  const absl::Status status = Error(Reason::kNotAMulticastGroup, "group", "10.0.0.1 is not a multicast group");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "10.0.0.1 is not a multicast group");
  EXPECT_EQ(ReasonOf(status), Reason::kNotAMulticastGroup);
  EXPECT_EQ(FieldOf(status), "group");
  EXPECT_EQ(ErrnoOf(status), 0);
}

TEST(Error, WithoutAFieldNamesNone) { EXPECT_EQ(FieldOf(Error(Reason::kDraining, "", "stopping")), ""); }

TEST(Error, SurvivesCopying) {
  absl::Status status = Error(Reason::kPortInUse, "port", "held");
  const absl::Status copy = status;
  status = absl::OkStatus();
  EXPECT_EQ(ReasonOf(copy), Reason::kPortInUse);
  EXPECT_EQ(FieldOf(copy), "port");
}

TEST(ReasonOf, IsUnspecifiedForForeignStatuses) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), Reason::kUnspecified);
  EXPECT_EQ(ReasonOf(absl::InternalError("elsewhere")), Reason::kUnspecified);
  EXPECT_EQ(FieldOf(absl::InternalError("elsewhere")), "");
}

TEST(ReasonName, IsTheApisName) {
  EXPECT_EQ(ReasonName(Reason::kUnspecified), "UNSPECIFIED");
  EXPECT_EQ(ReasonName(Reason::kNotAMulticastGroup), "NOT_A_MULTICAST_GROUP");
  EXPECT_EQ(ReasonName(Reason::kSubscriberTooSlow), "SUBSCRIBER_TOO_SLOW");
  EXPECT_EQ(ReasonName(Reason::kNotImplemented), "NOT_IMPLEMENTED");
}

TEST(ReasonCode, IsTheCanonicalCodeOfItsGroup) {
  EXPECT_EQ(ReasonCode(Reason::kInvalidAddress), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonCode(Reason::kInterfaceNotFound), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonCode(Reason::kGroupReserved), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReasonCode(Reason::kHostLimit), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonCode(Reason::kNoCarrier), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonCode(Reason::kSendBlocked), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonCode(Reason::kNotImplemented), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ReasonCode(Reason::kKernelError), absl::StatusCode::kInternal);
}

TEST(WithFieldPrefix, PutsThePrefixBeforeTheField) {
  const absl::Status status = WithFieldPrefix(Error(Reason::kInvalidPort, "port", "0"), "memberships[2].");
  EXPECT_EQ(FieldOf(status), "memberships[2].port");
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidPort);
  EXPECT_EQ(status.message(), "0");
}

TEST(WithFieldPrefix, LeavesAStatusWithoutFieldAlone) {
  const absl::Status status = Error(Reason::kDraining, "", "stopping");
  EXPECT_EQ(WithFieldPrefix(status, "memberships[2]."), status);
  EXPECT_TRUE(WithFieldPrefix(absl::OkStatus(), "memberships[2].").ok());
}

TEST(ErrnoStatus, SaysWhatWasTriedAndWhy) {
  const absl::Status status = ErrnoStatus(EACCES, "bind 239.1.1.1:500");
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("bind 239.1.1.1:500"), testing::HasSubstr("Permission denied")));
  EXPECT_EQ(ErrnoOf(status), EACCES);
  EXPECT_EQ(ReasonOf(status), Reason::kUnspecified);
}

TEST(ErrnoStatus, HasCodesThatDoNotMislead) {
  const std::pair<int, absl::StatusCode> expected[] = {
      {EADDRNOTAVAIL, absl::StatusCode::kNotFound},        {ENODEV, absl::StatusCode::kNotFound},
      {EMSGSIZE, absl::StatusCode::kInvalidArgument},      {ENOBUFS, absl::StatusCode::kResourceExhausted},
      {ENOMEM, absl::StatusCode::kResourceExhausted},      {ENETUNREACH, absl::StatusCode::kUnavailable},
      {EHOSTUNREACH, absl::StatusCode::kUnavailable},      {ENETDOWN, absl::StatusCode::kUnavailable},
      {EADDRINUSE, absl::StatusCode::kFailedPrecondition},
  };
  for (const auto& [error, code] : expected) EXPECT_EQ(ErrnoStatus(error, "try").code(), code) << error;
}

TEST(ErrnoStatus, AShortageIsKnownAsOne) {
  for (const int error : {ENOBUFS, ENOMEM, EMFILE, ENFILE, ENOSPC}) {
    const absl::Status status = ErrnoStatus(error, "try");
    EXPECT_EQ(ReasonOf(status), Reason::kHostLimit) << error;
    EXPECT_EQ(ErrnoOf(status), error);
    EXPECT_EQ(status.message(), absl::ErrnoToStatus(error, "try").message());
  }
}

TEST(ErrnoStatus, OfZeroIsAFailureAllTheSame) { EXPECT_FALSE(ErrnoStatus(0, "try").ok()); }

TEST(ErrnoError, CarriesReasonAndErrno) {
  const absl::Status status = ErrnoError(EMSGSIZE, Reason::kPayloadTooLarge, "payload", "too large");
  EXPECT_EQ(ReasonOf(status), Reason::kPayloadTooLarge);
  EXPECT_EQ(FieldOf(status), "payload");
  EXPECT_EQ(ErrnoOf(status), EMSGSIZE);
  EXPECT_EQ(ErrnoOf(WithFieldPrefix(status, "bursts[1].")), EMSGSIZE);
}

}  // namespace
}  // namespace mcgw::net
