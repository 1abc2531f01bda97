#include "server/app/config.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/text_format.h"
#include "server/app/config_file.h"
#include "server/app/listener_options.h"
#include "server/app/settings.h"
#include "server/gateway/rules/log_rules.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

enum class Kind { kText, kTexts, kNumber, kDuration };

// One key. `least` and `most` bound numbers, and durations in seconds; `values` lists the allowed texts.
struct Key {
  std::string_view name;  // The field of Config.
  Kind kind;
  std::string_view preset;
  std::string_view help;
  uint64_t least = 0;
  uint64_t most = 0;
  std::string_view values = {};
};

constexpr std::array kKeys = {
    Key{"listen", Kind::kTexts, "127.0.0.1:50051",
        "Where to serve gRPC: 127.0.0.1:50051, [::1]:50051 or unix:/run/mcgw/mcgw.sock; port 0 chooses a free port. "
        "More may follow: '0.0.0.0:50051 certificate=FILE key=FILE client_ca=FILE', see docs/configuration.md. "
        "Repeatable"},
    Key{"insecure_allow_plaintext", Kind::kTexts, "",
        "Address of a listener, off the loopback, that may serve clients it does not know. Repeatable"},
    Key{"interfaces", Kind::kTexts, "",
        "Interface that the gateway may use, by name or alternative name; default: all. Repeatable"},
    Key{"default_interface", Kind::kText, "",
        "Interface for requests that name none; default: chosen by the host's routes"},
    Key{"source_port", Kind::kNumber, "0",
        "UDP port to send from, for IPv4 and IPv6, closed to other users; 0: the kernel chooses one per socket", 0,
        65535},
    Key{"log_level", Kind::kText, "info", "Minimum severity to log", 0, 0, "trace debug info warning error"},
    Key{"log_format", Kind::kText, "text", "Format of log lines", 0, 0, "text json"},
    Key{"session_lease", Kind::kDuration, "60s", "Session lease if Join names none", 1, 3600},
    Key{"keep_after_leave", Kind::kDuration, "30s", "How long to keep a channel's log after its last holder leaves", 0,
        3600},
    Key{"drain_grace", Kind::kDuration, "5s", "How long to serve open streams after a stop signal", 0, 300},
    Key{"channel_log_bytes", Kind::kNumber, "4194304", "Maximum bytes of one channel's log", 256 << 10, 1 << 30},
    Key{"channel_log_age", Kind::kDuration, "0s", "Maximum age of a datagram in a channel's log; 0s: no limit", 0,
        86'400},
    Key{"logs", Kind::kTexts, "",
        "Log limits for a prefix of groups, such as '239.1.0.0/16 bytes=1048576 age=30s'. Repeatable"},
    Key{"total_log_bytes", Kind::kNumber, "268435456", "Maximum bytes of all logs together", 256 << 10,
        uint64_t{1} << 40},
    Key{"socket_buffer_bytes", Kind::kNumber, "33554432",
        "Receive buffer to request for each socket; the kernel may cap it at net.core.rmem_max", 4 << 10, 1 << 30},
    Key{"subscriber_lag_limit_bytes", Kind::kNumber, "",
        "How many bytes of log a stream may fall behind if it names no limit; default: channel_log_bytes", 64 << 10,
        1 << 30},
    Key{"shards", Kind::kNumber, "0",
        "Threads that receive channels and write streams; 0: one per two cores, at most 8", 0, 16},
    Key{"max_channels", Kind::kNumber, "20000", "Maximum channels", 1, 1'000'000},
    Key{"max_sessions", Kind::kNumber, "10000", "Maximum sessions", 0, 1'000'000},
    Key{"max_subscribers", Kind::kNumber, "10000", "Maximum open Subscribe streams", 1, 100'000},
    Key{"max_connections", Kind::kNumber, "1000", "Maximum client connections", 1, 100'000},
    Key{"max_connections_per_peer", Kind::kNumber, "0",
        "Maximum connections per address, or per user on Unix sockets; 0: three quarters of max_connections", 0,
        100'000},
    Key{"stall_timeout", Kind::kDuration, "60s",
        "Cut a stream whose client takes no message, or a connection that takes no data, for this long", 1, 3600},
    Key{"max_memberships", Kind::kNumber, "10000", "Maximum memberships per session or stream", 1, 100'000},
    Key{"max_sources", Kind::kNumber, "1000", "Maximum sources per source filter", 1, 10'000},
    Key{"max_holder_sources", Kind::kNumber, "100000", "Maximum sources in all filters of a session or stream", 1,
        10'000'000},
    Key{"max_total_memberships", Kind::kNumber, "2000000", "Maximum memberships of all sessions and streams together",
        1, 100'000'000},
    Key{"max_total_sources", Kind::kNumber, "1000000", "Maximum sources in the filters of all memberships together", 1,
        100'000'000},
};

int ShardsForCores() {
  constexpr int kCoresForEach = 2;  // Connections and gRPC's own threads need cores too.
  constexpr int kMost = 8;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::clamp(CPU_COUNT(&cores) / kCoresForEach, 1, kMost);
}

std::vector<std::string_view> KeyNames() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  return names;
}

std::string FlagOf(const Key& key) {
  if (key.name == "interfaces") return "--interface";
  if (key.name == "logs") return "--log";
  return net::StrCat("--", absl::StrReplaceAll(net::ToAbsl(key.name), {{"_", "-"}}));
}

std::string VariableOf(const Key& key) { return net::StrCat("MCGW_", absl::AsciiStrToUpper(net::ToAbsl(key.name))); }

absl::StatusOr<uint64_t> ReadNumber(const Key& key, const Setting& setting) {
  const std::string& text = setting.values.front();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= key.least && number <= key.most) {
    return number;
  }
  return Bad(setting, "'", text, "' is not a whole number from ", key.least, " to ", key.most);
}

absl::StatusOr<absl::Duration> ReadDuration(const Key& key, const Setting& setting) {
  const std::string& text = setting.values.front();
  const std::optional<absl::Duration> duration =
      net::ReadDuration(text, absl::Seconds(key.least), absl::Seconds(key.most));
  if (duration.has_value()) return *duration;
  return Bad(setting, "'", text, "' is not a duration from ", key.least, "s to ", key.most,
             "s: a number and a unit, such as 30s or 500ms");
}

// An empty value would mean the default, which often permits more than intended: an unset variable of a script must not
// open all interfaces.
absl::Status CheckNotEmpty(const Setting& setting) {
  const bool empty = setting.values.empty() || std::any_of(setting.values.begin(), setting.values.end(),
                                                           [](const std::string& value) { return value.empty(); });
  if (!empty) return absl::OkStatus();
  return Bad(setting, "an empty value; leave it out for the default");
}

absl::Status Apply(const Key& key, const Setting& setting, Config* config) {
  const FieldDescriptor* const field = Config::descriptor()->FindFieldByName(std::string(key.name));
  const Reflection* const reflection = config->GetReflection();
  reflection->ClearField(config, field);
  if (absl::Status status = CheckNotEmpty(setting); !status.ok()) return status;
  if (key.kind == Kind::kTexts) {
    for (const std::string& value : setting.values) reflection->AddString(config, field, value);
    return absl::OkStatus();
  }
  if (setting.values.size() != 1) return Bad(setting, "give one value, not ", setting.values.size());
  switch (key.kind) {
    case Kind::kTexts:
      break;
    case Kind::kText: {
      const std::string& value = setting.values.front();
      const std::vector<std::string> allowed = absl::StrSplit(net::ToAbsl(key.values), ' ', absl::SkipEmpty());
      if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
        return Bad(setting, "'", value, "' is not one of: ", key.values);
      }
      reflection->SetString(config, field, value);
      break;
    }
    case Kind::kNumber: {
      const absl::StatusOr<uint64_t> number = ReadNumber(key, setting);
      if (!number.ok()) return number.status();
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
        reflection->SetUInt32(config, field, static_cast<uint32_t>(*number));
      } else {
        reflection->SetUInt64(config, field, *number);
      }
      break;
    }
    case Kind::kDuration: {
      const absl::StatusOr<absl::Duration> duration = ReadDuration(key, setting);
      if (!duration.ok()) return duration.status();
      auto* const message = static_cast<google::protobuf::Duration*>(reflection->MutableMessage(config, field));
      message->set_seconds(absl::ToInt64Seconds(*duration));
      message->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*duration % absl::Seconds(1))));
      break;
    }
  }
  return absl::OkStatus();
}

// ---- The environment ----

void ReadEnvironment(Settings* settings) {
  for (const Key& key : kKeys) {
    const std::string variable = VariableOf(key);
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr) continue;
    Setting setting{variable, {}};
    if (key.kind == Kind::kTexts) {
      for (const auto part : absl::StrSplit(value, ',')) {
        setting.values.emplace_back(absl::StripAsciiWhitespace(part));
      }
    } else {
      setting.values.push_back(value);
    }
    (*settings)[std::string(key.name)] = std::move(setting);
  }
}

// A misspelt variable is ignored, so warn about it. It is not an error, since variables with this prefix may belong to
// another program: Kubernetes sets MCGW_SERVICE_HOST, MCGW_PORT and others for a Service named mcgw.
std::vector<std::string> UnknownVariables() {
  std::set<std::string, std::less<>> known = {"MCGW_CONFIG", "MCGW_GATEWAY"};
  for (const Key& key : kKeys) known.insert(VariableOf(key));
  std::vector<std::string> warnings;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::string_view name = entry.substr(0, entry.find('='));
    const bool of_kubernetes =
        name.starts_with("MCGW_SERVICE_") || name == "MCGW_PORT" || name.starts_with("MCGW_PORT_");
    if (!name.starts_with("MCGW_") || of_kubernetes || known.contains(name)) continue;
    warnings.push_back(net::StrCat(name, ": ignored, as mcgwd has no such variable (mcgwd --help lists them)"));
  }
  return warnings;
}

// ---- Together ----

// Checks only that a name is possible, not that the interface exists: it may appear later.
absl::Status CheckInterfaceName(std::string_view key, const std::string& name) {
  constexpr size_t kMostBytes = 127;  // Of an alternative name; a primary name has at most 15.
  const bool impossible = name.size() > kMostBytes || name == "*" || std::any_of(name.begin(), name.end(), [](char c) {
                            return c == '/' || c == ',' || absl::ascii_isspace(static_cast<uint8_t>(c)) ||
                                   absl::ascii_iscntrl(static_cast<uint8_t>(c));
                          });
  if (!impossible) return absl::OkStatus();
  return absl::InvalidArgumentError(net::StrCat(key, ": '", absl::CHexEscape(name), "' is not an interface name"));
}

absl::Status CheckInterfaces(const Config& config) {
  for (const std::string& name : config.interfaces()) {
    if (absl::Status status = CheckInterfaceName("interfaces", name); !status.ok()) return status;
  }
  return CheckInterfaceName("default_interface", config.default_interface());
}

// What a listener that strangers can reach is refused without.
absl::Status BadOpenListener(const ListenerOptions& listener) {
  const std::string place = listener.address.Text();
  return BadListener(
      listener.text,
      net::StrCat("not a loopback address, and without TLS and required client certificates anyone who reaches it can "
                  "join and send. Write '",
                  place,
                  " certificate=FILE key=FILE client_ca=FILE', or listen on 127.0.0.1, "
                  "[::1] or unix:/PATH; where the network itself keeps strangers away, allow it by "
                  "--insecure-allow-plaintext ",
                  place));
}

absl::Status CheckListeners(const Config& config) {
  std::set<std::string> allowed;
  for (const std::string& text : config.insecure_allow_plaintext()) {
    const absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
    if (!address.ok()) {
      return absl::InvalidArgumentError(net::StrCat("insecure_allow_plaintext: ", address.status().message()));
    }
    allowed.insert(address->Text());
  }
  std::set<std::string> places;
  for (const std::string& text : config.listen()) {
    const absl::StatusOr<ListenerOptions> listener = ListenerOptions::Parse(text);
    if (!listener.ok()) return listener.status();
    const std::string place = listener->address.Text();
    const bool takes_free_port = !listener->address.is_unix() && place.ends_with(":0");
    if (!places.insert(place).second && !takes_free_port) {
      return absl::InvalidArgumentError(net::StrCat("listen: '", listener->text, "' is given twice"));
    }
    if (!listener->IsGuarded() && !allowed.contains(place)) return BadOpenListener(*listener);
  }
  for (const std::string& place : allowed) {
    if (places.contains(place)) continue;
    return absl::InvalidArgumentError(net::StrCat("insecure_allow_plaintext: '", place, "' is not a listener"));
  }
  return absl::OkStatus();
}

absl::Status CheckLogRules(const Config& config) {
  std::set<std::pair<net::IpAddress, int>> prefixes;
  for (const std::string& text : config.logs()) {
    const absl::StatusOr<gateway::LogRule> rule = gateway::ParseLogRule(text);
    if (!rule.ok()) return absl::InvalidArgumentError(net::StrCat("logs: ", rule.status().message()));
    if (!prefixes.emplace(rule->prefix, rule->prefix_bits).second) {
      return absl::InvalidArgumentError(net::StrCat("logs: '", text, "': a second rule for the same groups"));
    }
    if (rule->bytes.value_or(0) > config.total_log_bytes()) {
      return absl::InvalidArgumentError(
          net::StrCat("logs: '", text, "': more than total_log_bytes, ", config.total_log_bytes()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Config> Merge(const Settings& settings) {
  Config config;
  for (const Key& key : kKeys) {
    const auto at = settings.find(key.name);
    if (at == settings.end() && key.preset.empty()) continue;
    const Setting setting =
        at != settings.end() ? at->second : Setting{std::string(key.name), {std::string(key.preset)}};
    if (absl::Status status = Apply(key, setting, &config); !status.ok()) return status;
  }
  for (const auto check : {CheckListeners, CheckInterfaces, CheckLogRules}) {
    if (absl::Status status = check(config); !status.ok()) return status;
  }
  if (config.total_log_bytes() < config.channel_log_bytes()) {
    return absl::InvalidArgumentError(net::StrCat("total_log_bytes: ", config.total_log_bytes(),
                                                  " is less than channel_log_bytes, ", config.channel_log_bytes()));
  }
  if (!config.has_subscriber_lag_limit_bytes()) {
    config.set_subscriber_lag_limit_bytes(config.channel_log_bytes());
  } else if (config.subscriber_lag_limit_bytes() > config.channel_log_bytes()) {
    return absl::InvalidArgumentError(net::StrCat("subscriber_lag_limit_bytes: ", config.subscriber_lag_limit_bytes(),
                                                  " is more than channel_log_bytes, ", config.channel_log_bytes()));
  }
  return config;
}

std::string HelpOf(const Key& key) {
  std::string help = std::string(key.help);
  if (!key.values.empty()) help += net::StrCat(": ", absl::StrReplaceAll(net::ToAbsl(key.values), {{" ", ", "}}));
  if (!key.preset.empty()) help += net::StrCat(" (default ", key.preset, ")");
  return help + net::StrCat(" [", VariableOf(key), "]");
}

std::string TextOf(const Key& key, const Config& config) {
  const FieldDescriptor* const field = Config::descriptor()->FindFieldByName(std::string(key.name));
  std::string all;
  const int count = field->is_repeated() ? config.GetReflection()->FieldSize(config, field) : 1;
  for (int i = 0; i < count; ++i) {
    std::string text;
    google::protobuf::TextFormat::PrintFieldValueToString(config, field, field->is_repeated() ? i : -1, &text);
    all += text + "\n";
  }
  return all;
}

}  // namespace

absl::StatusOr<CommandLine> ReadCommandLine(int argc, const char* const* argv) {
  CLI::App app(
      "mcgwd: a gateway between gRPC clients and IP multicast.\n"
      "Every key of the configuration file is a flag and an environment variable; a flag overrides the environment, "
      "which\n"
      "overrides the file. Without any, mcgwd serves on 127.0.0.1:50051.",
      "mcgwd");
  app.set_version_flag("--version", "mcgwd " MCGW_VERSION, "Print the version and exit");
  CommandLine line;
  CLI::Option* const file =
      app.add_option("--config", line.config_file, "YAML file with keys such as channel_log_bytes: 8388608")
          ->type_name("FILE")
          ->envname("MCGW_CONFIG");
  app.add_flag("--check-config", line.check_config, "Check the configuration, report the result, and exit");
  std::map<std::string_view, std::vector<std::string>> flags;
  for (const Key& key : kKeys) {
    app.add_option(FlagOf(key), flags[key.name], HelpOf(key))
        ->type_name(key.kind == Kind::kNumber     ? "NUMBER"
                    : key.kind == Kind::kDuration ? "DURATION"
                                                  : "TEXT")
        ->expected(1)
        ->take_all();
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    if (app.exit(error, out, err) == 0) {
      line.print_and_exit = true;
      line.text = out.str();
      return line;
    }
    // CLI11 takes "--shards=" for a flag without its value.
    const bool no_value = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr;
    return absl::InvalidArgumentError(net::StrCat(error.what(), no_value ? ": give a value, or leave the flag out" : "",
                                                  " (mcgwd --help lists the flags)"));
  }

  // CLI11 treats an empty variable as unset.
  const char* const config_variable = std::getenv("MCGW_CONFIG");
  if (line.config_file.empty() && (file->count() > 0 || config_variable != nullptr)) {
    return Bad(Setting{file->count() > 0 ? "--config" : "MCGW_CONFIG", {}}, "an empty value; leave it out for no file");
  }
  Settings settings;
  if (!line.config_file.empty()) {
    if (absl::Status status = ReadConfigFile(line.config_file, KeyNames(), &settings); !status.ok()) return status;
  }
  ReadEnvironment(&settings);
  for (const Key& key : kKeys) {
    if (!flags[key.name].empty()) settings[std::string(key.name)] = {FlagOf(key), flags[key.name]};
  }
  absl::StatusOr<Config> config = Merge(settings);
  if (!config.ok()) return config.status();
  line.config = *std::move(config);
  line.warnings = UnknownVariables();
  return line;
}

absl::StatusOr<Config> ReadConfigText(const std::string& path, const std::string& text) {
  Settings settings;
  if (absl::Status status = ParseConfigFile(path, text, KeyNames(), &settings); !status.ok()) return status;
  return Merge(settings);
}

absl::Duration ToDuration(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

std::vector<ListenerOptions> ListenersOf(const Config& config) {
  std::vector<ListenerOptions> listeners;
  for (const std::string& text : config.listen()) {
    if (absl::StatusOr<ListenerOptions> listener = ListenerOptions::Parse(text); listener.ok()) {
      listeners.push_back(*std::move(listener));
    }
  }
  return listeners;
}

gateway::Options GatewayOptions(const Config& config) {
  gateway::Options options;
  options.interfaces.assign(config.interfaces().begin(), config.interfaces().end());
  options.default_interface = config.default_interface();
  options.source_port = static_cast<uint16_t>(config.source_port());
  options.session_lease = ToDuration(config.session_lease());
  options.keep_after_leave = ToDuration(config.keep_after_leave());
  options.channel_log_bytes = config.channel_log_bytes();
  options.total_log_bytes = config.total_log_bytes();
  options.channel_log_age = ToDuration(config.channel_log_age());
  for (const std::string& text : config.logs()) {
    if (absl::StatusOr<gateway::LogRule> rule = gateway::ParseLogRule(text); rule.ok()) {
      options.log_rules.push_back(*std::move(rule));
    }
  }
  options.socket_buffer_bytes = config.socket_buffer_bytes();
  options.subscriber_lag_limit_bytes = config.subscriber_lag_limit_bytes();
  options.shards = config.shards() > 0 ? static_cast<int>(config.shards()) : ShardsForCores();
  options.limits.channels = config.max_channels();
  options.limits.sessions = config.max_sessions();
  options.limits.subscribers = config.max_subscribers();
  options.limits.memberships_per_holder = config.max_memberships();
  options.limits.sources_per_filter = config.max_sources();
  options.limits.sources_per_holder = config.max_holder_sources();
  options.limits.memberships = config.max_total_memberships();
  options.limits.sources = config.max_total_sources();
  return options;
}

std::vector<std::string> ChangedKeys(const Config& a, const Config& b) {
  std::vector<std::string> changed;
  for (const Key& key : kKeys) {
    if (TextOf(key, a) != TextOf(key, b)) changed.emplace_back(key.name);
  }
  return changed;
}

}  // namespace mcgw::app
