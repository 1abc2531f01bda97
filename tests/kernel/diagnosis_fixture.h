// A gateway on the real kernel, and the question why nothing arrives. Each fault is made on purpose, must be found, and
// must be gone when the finding's own remedy has been run.

#ifndef MCGW_TESTS_KERNEL_DIAGNOSIS_FIXTURE_H_
#define MCGW_TESTS_KERNEL_DIAGNOSIS_FIXTURE_H_

#include <net/if.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/gateway/gateway.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/text.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::gateway {

using kernel::Ip;
using kernel::Shell;

inline constexpr uint16_t kDiagnosedPort = 5000;

class DiagnosisTest : public testing::Test {
 protected:
  void Start() { gateway_ = Gateway::Create(options_, net::NewLinuxSocketFactory()).value(); }
  Gateway& gateway() {
    if (gateway_ == nullptr) Start();
    return *gateway_;
  }

  void Join(const std::string& selector, std::string_view group, const fanout::SourceFilter& filter = {}) {
    const absl::StatusOr<JoinResult> joined = gateway().Join(
        {"me"}, session_, {.selector = selector, .group = Ip(group), .port = kDiagnosedPort, .filter = filter},
        std::nullopt);
    ASSERT_TRUE(joined.ok()) << joined.status();
    session_ = joined->session_id;
  }
  absl::Status Send(const std::string& selector, std::string_view group, uint8_t hop_limit = 1) {
    const auto results = gateway().Send({"me"}, "",
                                        {.selector = selector,
                                         .group = Ip(group),
                                         .port = kDiagnosedPort,
                                         .source = std::nullopt,
                                         .hop_limit = hop_limit},
                                        "payload");
    return results.ok() ? results->front().status : results.status();
  }
  // The peer sends through an interface of its own.
  void PeerSends(std::string_view group, const std::string& by, std::string_view source, int count = 1,
                 uint8_t hop_limit = 1) {
    peer_.Do([&] {
      const auto factory = net::NewLinuxSocketFactory();
      const auto socket = factory->NewSendSocket({.family = Ip(group).family(), .loop = false}).value();
      const std::vector<net::OutgoingDatagram> datagrams(static_cast<size_t>(count),
                                                         {.group = Ip(group),
                                                          .port = kDiagnosedPort,
                                                          .interface_index = if_nametoindex(by.c_str()),
                                                          .source = Ip(source),
                                                          .hop_limit = hop_limit,
                                                          .traffic_class = std::nullopt,
                                                          .payload = "payload"});
      std::vector<net::SendFailure> failures;
      EXPECT_EQ(socket->Send(datagrams, &failures), datagrams.size());
    });
  }
  void Receive() {
    while (gateway().loop(0)->RunOnce(absl::ZeroDuration()) > 0) {
    }
  }
  // For what the kernel does in its own time, without a notification.
  static bool Eventually(const std::function<bool()>& condition) {
    const int64_t end_ns = net::MonotonicNs() + 10'000'000'000;
    while (!condition()) {
      if (net::MonotonicNs() > end_ns) return false;
      std::this_thread::yield();
    }
    return true;
  }

  static DiagnosisRequest On(std::string selector) {
    return {.selector = std::move(selector), .group = std::nullopt, .port = 0, .source = std::nullopt};
  }
  static DiagnosisRequest About(std::string selector, std::string_view group, std::string_view source = "") {
    DiagnosisRequest request = On(std::move(selector));
    request.group = Ip(group);
    request.port = kDiagnosedPort;
    if (!source.empty()) request.source = Ip(source);
    return request;
  }

  std::vector<Finding> Diagnose(const DiagnosisRequest& request) {
    absl::StatusOr<std::vector<Finding>> findings = gateway().inspector().Diagnose(request);
    EXPECT_TRUE(findings.ok()) << findings.status();
    return findings.ok() ? *std::move(findings) : std::vector<Finding>();
  }
  // The first finding of a check of this severity that says `seen`.
  std::optional<Finding> Find(const DiagnosisRequest& request, FindingCode code, Severity severity,
                              std::string_view seen = "") {
    for (const Finding& finding : Diagnose(request)) {
      if (finding.code == code && finding.severity == severity && absl::StrContains(finding.seen, net::ToAbsl(seen))) {
        return finding;
      }
    }
    return std::nullopt;
  }

  // Holds that a check finds nothing, then something once the fault is made. Prints both, and answers the finding.
  Finding Make(const std::string& fault, const DiagnosisRequest& request, FindingCode code, Severity severity,
               const std::function<void()>& make, std::string_view seen = "") {
    EXPECT_FALSE(Find(request, code, severity, seen).has_value()) << "found before it was made: " << fault;
    make();
    const std::optional<Finding> finding = Find(request, code, severity, seen);
    EXPECT_TRUE(finding.has_value()) << "not found: " << fault << Everything(request);
    if (!finding.has_value()) return {code, severity, "", "", "", ""};
    EXPECT_FALSE(finding->why.empty()) << finding->seen;
    Print(fault, *finding);
    return *finding;
  }
  // The same for a fault that lies in what is asked for: one question finds it, the other does not.
  Finding Compare(const std::string& fault, const DiagnosisRequest& well, const DiagnosisRequest& faulty,
                  FindingCode code, Severity severity, std::string_view seen = "") {
    EXPECT_FALSE(Find(well, code, severity, seen).has_value()) << "found where it is not: " << fault;
    const std::optional<Finding> finding = Find(faulty, code, severity, seen);
    EXPECT_TRUE(finding.has_value()) << "not found: " << fault << Everything(faulty);
    if (!finding.has_value()) return {code, severity, "", "", "", ""};
    Print(fault, *finding);
    return *finding;
  }
  // Runs a finding's remedy, which must fix the fault.
  void Mend(const Finding& finding, const DiagnosisRequest& request) {
    ASSERT_FALSE(finding.remedy_command.empty()) << finding.seen;
    Shell(finding.remedy_command + " >/dev/null");
    EXPECT_FALSE(Find(request, finding.code, finding.severity, finding.seen).has_value())
        << finding.remedy_command << " did not fix it: " << finding.seen;
  }
  // Checks that a fault that was fixed by hand is gone.
  void ExpectGone(const Finding& finding, const DiagnosisRequest& request) {
    EXPECT_FALSE(Find(request, finding.code, finding.severity, finding.seen).has_value()) << finding.seen;
  }

  static void Print(const std::string& fault, const Finding& finding) {
    std::cout << "fault: " << fault << "\n  found: " << finding.seen
              << "\n  fix: " << (finding.remedy_command.empty() ? finding.remedy : finding.remedy_command) << std::endl;
  }

  std::string Everything(const DiagnosisRequest& request) {
    std::string text;
    for (const Finding& finding : Diagnose(request)) {
      absl::StrAppend(&text, "\n  ", static_cast<int>(finding.severity), " ", static_cast<int>(finding.code), " ",
                      finding.seen);
    }
    return text;
  }

  Options options_;
  kernel::Peer peer_;
  std::unique_ptr<Gateway> gateway_;
  std::string session_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_TESTS_KERNEL_DIAGNOSIS_FIXTURE_H_
