#include "client/cli/contexts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mcgw::cli {
namespace {

constexpr off_t kMostBytes = 1 << 20;

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  absl::StatusOr<std::optional<Context>> Read(const YAML::Node& root, std::string name) const {
    if (!root.IsNull() && !root.IsMap()) return Bad(root, "give a map with the keys context and contexts");
    YAML::Node contexts;
    for (const auto& entry : root) {
      const std::string key = Text(entry.first);
      if (key == "contexts") {
        contexts = entry.second;
      } else if (key == "context") {
        if (Text(entry.second).empty()) return Bad(entry.second, "context: give the name of one of the contexts");
        if (name.empty()) name = Text(entry.second);
      } else {
        return Bad(entry.first, absl::StrCat("there is no key '", key, "'; the keys are context and contexts"));
      }
    }
    if (contexts.IsDefined() && !contexts.IsNull() && !contexts.IsMap()) {
      return Bad(contexts, "contexts: give a map of names and gateways");
    }
    if (name.empty()) return std::nullopt;
    std::vector<std::string> names;
    if (contexts.IsMap()) {
      for (const auto& entry : contexts) {
        if (Text(entry.first) == name) return ReadOne(name, entry.second);
        names.push_back(Text(entry.first));
      }
    }
    return absl::InvalidArgumentError(absl::StrCat(path_, ": there is no context '", name, "'; ",
                                                   names.empty() ? "there are none" : "there are ",
                                                   absl::StrJoin(names, ", ")));
  }

 private:
  absl::Status Bad(const YAML::Node& node, absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", node.Mark().line + 1, ": ", why));
  }

  static std::string Text(const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : ""; }

  std::string Absolute(const std::string& file) const {
    if (absl::StartsWith(file, "/")) return file;
    return absl::StrCat(path_.substr(0, path_.rfind('/') + 1), file);
  }

  absl::StatusOr<std::optional<Context>> ReadOne(const std::string& name, const YAML::Node& map) const {
    if (!map.IsMap()) return Bad(map, absl::StrCat("context ", name, ": give a map, such as {gateway: HOST:PORT}"));
    Context context;
    for (const auto& entry : map) {
      const std::string key = Text(entry.first);
      const std::string value = Text(entry.second);
      if (value.empty()) return Bad(entry.first, absl::StrCat(key, ": give a value"));
      if (key == "gateway") {
        context.gateway = value;
      } else if (key == "tls") {
        if (value != "true" && value != "false") return Bad(entry.second, "tls: give true or false");
        context.tls = value == "true";
      } else if (key == "tls_ca") {
        context.tls_ca = Absolute(value);
      } else if (key == "tls_cert") {
        context.tls_cert = Absolute(value);
      } else if (key == "tls_key") {
        context.tls_key = Absolute(value);
      } else if (key == "server_name") {
        context.server_name = value;
      } else {
        return Bad(entry.first, absl::StrCat("a context has no key '", key,
                                             "'; the keys are gateway, tls, tls_ca, tls_cert, tls_key, server_name"));
      }
    }
    if (context.gateway.empty()) return Bad(map, absl::StrCat("context ", name, ": gateway is missing"));
    return context;
  }

  const std::string path_;
};

}  // namespace

std::string ContextsFile() {
  for (const auto& [variable, rest] : {std::pair{"XDG_CONFIG_HOME", ""}, std::pair{"HOME", "/.config"}}) {
    // A relative path is to be ignored (XDG Base Directory Specification).
    if (const char* const value = getenv(variable); value != nullptr && *value == '/') {
      return absl::StrCat(value, rest, "/mcgw/config.yaml");
    }
  }
  return "";
}

absl::StatusOr<std::optional<Context>> ParseContext(const std::string& path, const std::string& text,
                                                    const std::string& name) {
  try {
    return Reader(path).Read(YAML::Load(text), name);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", error.mark.line + 1, ": not valid YAML: ", error.msg));
  }
}

absl::StatusOr<std::optional<Context>> ReadContext(const std::string& path, const std::string& name) {
  if (path.empty() && name.empty()) return std::nullopt;
  if (path.empty()) return absl::InvalidArgumentError("--context: neither HOME nor XDG_CONFIG_HOME says where it is");
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    if (name.empty() && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) return std::nullopt;
    return absl::InvalidArgumentError(absl::StrCat("--context: cannot read ", path, ": ", strerror(errno)));
  }
  if (!S_ISREG(status.st_mode) || status.st_size > kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file of at most ", kMostBytes, " bytes"));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": ", strerror(errno)));
  return ParseContext(path, {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}, name);
}

}  // namespace mcgw::cli
