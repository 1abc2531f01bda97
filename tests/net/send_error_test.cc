// What each errno of a send is told as, on the loopback interface of whatever host this is.

#include "server/net/linux_send_error.h"

#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/owned_fd.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

using testing::HasSubstr;

class SendErrorTest : public testing::Test {
 protected:
  absl::Status Of(int error, const SendSocketSpec& spec = {}) const {
    return SendError(fd_.get(), spec, error, datagram_);
  }
  // Each says what to do.
  void Expect(int error, Reason reason, std::string_view field, const std::string& remedy) const {
    const absl::Status status = Of(error);
    EXPECT_EQ(ReasonOf(status), reason) << status;
    EXPECT_EQ(status.code(), ReasonCode(reason)) << status;
    EXPECT_EQ(ErrnoOf(status), error);
    EXPECT_EQ(FieldOf(status), field);
    EXPECT_THAT(std::string(status.message()), HasSubstr(remedy));
  }

  const OwnedFd fd_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  OutgoingDatagram datagram_{.group = IpAddress::Parse("239.1.1.1").value(),
                             .port = 5000,
                             .interface_index = if_nametoindex("lo"),
                             .source = {},
                             .traffic_class = {},
                             .payload = "payload"};
};

TEST_F(SendErrorTest, EveryErrnoHasAReasonAndARemedy) {
  Expect(EMSGSIZE, Reason::kPayloadTooLarge, "payload", "at most 65507");
  Expect(EPERM, Reason::kSendBlocked, "", "output rules");
  Expect(EACCES, Reason::kSendBlocked, "", "ip route, ip rule");
  Expect(EAGAIN, Reason::kHostLimit, "", "net.core.wmem_default");
  Expect(ENOBUFS, Reason::kHostLimit, "", "txqueuelen");
  Expect(ENOMEM, Reason::kHostLimit, "", "free some");
  for (const int error : {EINVAL, ENETUNREACH, EHOSTUNREACH, ENODEV, ENXIO, ENETDOWN}) {
    Expect(error, Reason::kNoRoute, "", "ip route");
  }
  Expect(EADDRNOTAVAIL, Reason::kNoAddress, "interface", "ip address add ADDRESS dev lo");
}

TEST_F(SendErrorTest, AnUnexpectedErrnoKeepsItsText) {
  const absl::Status status = Of(EIO);
  EXPECT_EQ(ReasonOf(status), Reason::kUnspecified);
  EXPECT_EQ(ErrnoOf(status), EIO);
  EXPECT_THAT(std::string(status.message()), HasSubstr("239.1.1.1:5000"));
}

TEST_F(SendErrorTest, TheInterfaceAndTheSourceDecideWhatIsUnreachable) {
  datagram_.interface_index = 1'000'000;
  Expect(ENODEV, Reason::kInterfaceNotFound, "interface", "ListInterfaces");
  datagram_.interface_index = if_nametoindex("lo");
  datagram_.source = IpAddress::Parse("192.0.2.1").value();
  Expect(ENETUNREACH, Reason::kSourceNotLocal, "source_address", "192.0.2.1 is not a usable address of lo");
  datagram_.source = IpAddress::Parse("127.0.0.1").value();
  Expect(ENETUNREACH, Reason::kNoRoute, "", "239.1.1.1");
  datagram_.source = IpAddress::Parse("239.1.1.2").value();
  Expect(EINVAL, Reason::kInvalidSource, "source_address", "is a multicast address and cannot be a source");
}

TEST_F(SendErrorTest, UnfragmentedTheLimitIsTheInterfaces) {
  const std::string large(65'508, 'x');
  datagram_.payload = std::string_view(large).substr(0, 65'507);
  const absl::Status status = Of(EMSGSIZE, {.dont_fragment = true});
  EXPECT_THAT(std::string(status.message()), HasSubstr("65507 bytes do not fit through lo in one piece"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("less on the route")) << "lo's MTU has room for it";
  datagram_.payload = large;
  EXPECT_THAT(std::string(Of(EMSGSIZE, {.dont_fragment = true}).message()), HasSubstr("more than an IPv4 datagram"));
}

}  // namespace
}  // namespace mcgw::net
