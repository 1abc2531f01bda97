// Connects to a gateway that is not there: what the library says of it is printed.
#include <iostream>

#include "mcgw/channel_text.h"
#include "mcgw/client.h"

int main() {
  const auto membership = mcgw::client::ParseChannel("10.0.0.2@232.1.1.1:5004%eth0");
  if (!membership.ok()) return 1;
  std::cout << mcgw::client::FormatChannel(*membership) << "\n";
  const auto client = mcgw::client::Client::Connect("unix:/nonexistent/mcgw.sock");
  if (!client.ok()) return 1;
  multicast::gateway::v1::JoinRequest request;
  *request.mutable_membership() = *membership;
  std::cout << absl::StatusCodeToString((*client)->Join(request).status().code()) << "\n";
}
