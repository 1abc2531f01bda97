// A message as recvmsg(2) leaves it: its sender, its bytes and the control messages beside it, each in memory of its
// exact size.

#ifndef MCGW_TESTS_FUZZ_RECEIVED_H_
#define MCGW_TESTS_FUZZ_RECEIVED_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <memory>

#include "tests/fuzz/fuzz_target.h"

namespace mcgw::fuzz {

// Of the input: its flags, whether the sender is IPv6, the sender's sockaddr, the control messages, and the payload.
class Received {
 public:
  explicit Received(Input* input) {
    message_.msg_flags = static_cast<int>(input->Number(1));
    const bool is_v6 = input->Number(1) % 2 == 1;
    const std::string_view sender = input->Bytes(26);
    std::copy(sender.begin(), sender.end(), reinterpret_cast<char*>(&sender_) + sizeof(sender_.ss_family));
    sender_.ss_family = is_v6 ? AF_INET6 : AF_INET;
    message_.msg_name = &sender_;
    message_.msg_namelen = sizeof(sender_);
    const std::string_view control = input->Text();
    control_ = Copy(control);
    message_.msg_control = control_.get();
    message_.msg_controllen = control.size();
    const std::string_view payload = input->Rest();
    payload_ = Copy(payload);
    vector_ = {payload_.get(), payload.size()};
    message_.msg_iov = &vector_;
    message_.msg_iovlen = 1;
  }

  const msghdr& message() const { return message_; }
  size_t bytes() const { return vector_.iov_len; }

 private:
  static std::unique_ptr<char[]> Copy(std::string_view bytes) {
    std::unique_ptr<char[]> copy(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    return copy;
  }

  sockaddr_storage sender_{};
  std::unique_ptr<char[]> control_;
  std::unique_ptr<char[]> payload_;
  iovec vector_{};
  msghdr message_{};
};

}  // namespace mcgw::fuzz

#endif  // MCGW_TESTS_FUZZ_RECEIVED_H_
