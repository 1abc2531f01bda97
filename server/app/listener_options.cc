#include "server/app/listener_options.h"

#include <grp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <system_error>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr size_t kMostNameBytes = 64;

// Reads a whole number in `base`.
std::optional<uint32_t> ReadNumber(std::string_view text, int base) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The value of one key, as it is being read.
struct Reader {
  ListenerOptions* options;
  http2::TlsFiles tls;
  std::optional<http2::ClientCertificates> clients;

  absl::Status Bad(std::string_view key, std::string_view value, std::string_view why) const {
    return BadListener(options->text, net::StrCat(key, ": '", net::Printable(net::Shortened(value)), "' ", why));
  }

  absl::Status Name(std::string_view value) {
    const bool is_good = value.size() <= kMostNameBytes && std::all_of(value.begin(), value.end(), net::IsPrintable);
    if (!is_good) {
      return Bad("name", value, net::StrCat("has more than ", kMostNameBytes, " bytes or is not printable ASCII"));
    }
    options->name = std::string(value);
    return absl::OkStatus();
  }
  absl::Status File(std::string_view key, std::string_view value, std::string* path) {
    *path = std::string(value);
    return value.front() == '/' ? absl::OkStatus() : Bad(key, value, "is not an absolute path");
  }
  absl::Status Clients(std::string_view value) {
    using http2::ClientCertificates;
    if (value == "none") clients = ClientCertificates::kNone;
    if (value == "requested") clients = ClientCertificates::kRequested;
    if (value == "required") clients = ClientCertificates::kRequired;
    if (clients.has_value()) return absl::OkStatus();
    return Bad("client_certificates", value, "is not one of: none, requested, required");
  }
  absl::Status Mode(std::string_view value) {
    const std::optional<uint32_t> mode = ReadNumber(value, 8);
    if (!mode.has_value() || *mode > 0777 || (*mode & 0600) != 0600) {
      return Bad("mode", value, "is not an octal mode from 0600 to 0777, such as 0660");
    }
    options->mode = *mode;
    return absl::OkStatus();
  }
  absl::Status Group(std::string_view value) {
    if (const std::optional<uint32_t> id = ReadNumber(value, 10); id.has_value()) {
      options->group = *id;
      return absl::OkStatus();
    }
    const group* const entry = getgrnam(std::string(value).c_str());
    if (entry == nullptr) return Bad("group", value, "is not a group of this host, nor the number of one");
    options->group = entry->gr_gid;
    return absl::OkStatus();
  }
  absl::Status Ids(std::string_view key, std::string_view value, std::vector<IdRange>* ranges) {
    const size_t dash = value.find('-');
    const std::optional<uint32_t> first = ReadNumber(value.substr(0, dash), 10);
    const std::optional<uint32_t> last =
        dash == std::string_view::npos ? first : ReadNumber(value.substr(dash + 1), 10);
    if (!first.has_value() || !last.has_value() || *first > *last) {
      return Bad(key, value, "is not a number or a range of numbers, such as 1000 or 1000-1999");
    }
    ranges->push_back({*first, *last});
    return absl::OkStatus();
  }

  // Checks what belongs together.
  absl::Status End() {
    const bool has_tls = !tls.certificate.empty() || !tls.key.empty();
    if (has_tls && (tls.certificate.empty() || tls.key.empty())) {
      return BadListener(options->text, "certificate and key go together: give both, or neither");
    }
    if (!has_tls && (!tls.client_ca.empty() || !tls.crl.empty() || clients.has_value())) {
      return BadListener(options->text, "client_ca, crl and client_certificates need a certificate and a key");
    }
    if (has_tls && options->address.is_unix()) {
      return BadListener(options->text, "a Unix socket has no TLS: its file's mode and allow_uid say who may connect");
    }
    using http2::ClientCertificates;
    tls.clients = clients.value_or(tls.client_ca.empty() ? ClientCertificates::kNone : ClientCertificates::kRequired);
    if (tls.client_ca.empty() && tls.clients != ClientCertificates::kNone) {
      return BadListener(options->text, "client_certificates needs client_ca, the CAs of these certificates");
    }
    if (!tls.client_ca.empty() && tls.clients == ClientCertificates::kNone) {
      return BadListener(options->text, "client_ca has no use with client_certificates=none");
    }
    if (!tls.crl.empty() && tls.client_ca.empty()) return BadListener(options->text, "crl needs client_ca");
    if (has_tls) options->tls = tls;
    return absl::OkStatus();
  }
};

struct Key {
  std::string_view name;
  bool unix_only;
  bool repeatable;
  std::function<absl::Status(Reader*, std::string_view)> read;
};

const std::vector<Key>& Keys() {
  const auto file = [](std::string_view key, std::string http2::TlsFiles::*path) {
    return [=](Reader* reader, std::string_view value) { return reader->File(key, value, &(reader->tls.*path)); };
  };
  static const std::vector<Key> keys = {
      {"name", false, false, [](Reader* reader, std::string_view value) { return reader->Name(value); }},
      {"certificate", false, false, file("certificate", &http2::TlsFiles::certificate)},
      {"key", false, false, file("key", &http2::TlsFiles::key)},
      {"client_ca", false, false, file("client_ca", &http2::TlsFiles::client_ca)},
      {"crl", false, false, file("crl", &http2::TlsFiles::crl)},
      {"client_certificates", false, false,
       [](Reader* reader, std::string_view value) { return reader->Clients(value); }},
      {"mode", true, false, [](Reader* reader, std::string_view value) { return reader->Mode(value); }},
      {"group", true, false, [](Reader* reader, std::string_view value) { return reader->Group(value); }},
      {"allow_uid", true, true,
       [](Reader* reader, std::string_view value) {
         return reader->Ids("allow_uid", value, &reader->options->allowed_uids);
       }},
      {"allow_gid", true, true,
       [](Reader* reader, std::string_view value) {
         return reader->Ids("allow_gid", value, &reader->options->allowed_gids);
       }},
  };
  return keys;
}

std::string KeyNames() {
  return absl::StrJoin(Keys(), ", ",
                       [](std::string* out, const Key& key) { out->append(key.name.data(), key.name.size()); });
}

bool Contain(const std::vector<IdRange>& ranges, uint32_t id) {
  return std::any_of(ranges.begin(), ranges.end(), [=](const IdRange& range) { return range.Contains(id); });
}

}  // namespace

bool ListenerOptions::Allows(std::optional<uint32_t> uid, const std::vector<uint32_t>& gids) const {
  if (allowed_uids.empty() && allowed_gids.empty()) return true;
  if (uid.has_value() && Contain(allowed_uids, *uid)) return true;
  return std::any_of(gids.begin(), gids.end(), [&](uint32_t gid) { return Contain(allowed_gids, gid); });
}

absl::StatusOr<ListenerOptions> ListenerOptions::Parse(std::string_view text) {
  std::vector<std::string> words = absl::StrSplit(net::ToAbsl(text), ' ', absl::SkipEmpty());
  if (words.empty()) return BadListener(text, "the address is missing");
  ListenerOptions options;
  options.text = words.front();
  absl::StatusOr<ListenAddress> address = ListenAddress::Parse(words.front());
  if (!address.ok()) return address.status();
  options.address = *std::move(address);
  options.name = options.address.Text();
  Reader reader{.options = &options, .tls = {}, .clients = {}};
  std::vector<std::string_view> seen;
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const auto key = std::find_if(Keys().begin(), Keys().end(), [&](const Key& one) { return one.name == name; });
    if (key == Keys().end() || equals == std::string_view::npos) {
      return BadListener(options.text, net::StrCat("'", net::Printable(net::Shortened(word)),
                                                   "' is not KEY=VALUE with one of the keys ", KeyNames()));
    }
    const std::string_view value = word.substr(equals + 1);
    if (value.empty()) return BadListener(options.text, net::StrCat(name, " has no value"));
    if (key->unix_only && !options.address.is_unix()) {
      return BadListener(options.text, net::StrCat(name, " is for Unix sockets only"));
    }
    if (!key->repeatable && std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return BadListener(options.text, net::StrCat(name, " is given twice"));
    }
    seen.push_back(name);
    if (absl::Status status = key->read(&reader, value); !status.ok()) return status;
  }
  if (absl::Status status = reader.End(); !status.ok()) return status;
  return options;
}

}  // namespace mcgw::app
