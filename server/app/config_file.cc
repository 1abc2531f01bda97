#include "server/app/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "server/net/owned_fd.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr size_t kMostBytes = 1 << 20;

absl::StatusOr<std::string> ReadText(const std::string& path) {
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(net::StrCat("--config: cannot read '", path, "': ", why));
  };
  // O_NONBLOCK, so that a pipe without a writer does not block.
  const net::OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return bad(std::strerror(errno));
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return bad(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return bad("not a regular file");
  std::string text(kMostBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return bad(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMostBytes) return bad(net::StrCat("larger than ", kMostBytes, " bytes"));
  text.resize(size);
  return text;
}

// The text form of a map: {group: 239.1.0.0/16, age: 30s} is "239.1.0.0/16 age=30s".
absl::StatusOr<std::string> ReadRule(const Setting& setting, const YAML::Node& map) {
  std::string group;
  std::string limits;
  std::set<std::string> names;
  for (const auto& entry : map) {
    const std::string name = entry.first.Scalar();
    if (!names.insert(name).second) return Bad(setting, name, " is given twice in one rule");
    if (!entry.second.IsScalar()) return Bad(setting, name, ": give a plain value");
    if (name == "group") {
      group = entry.second.Scalar();
    } else {
      limits += net::StrCat(" ", name, "=", entry.second.Scalar());
    }
  }
  if (group.empty()) return Bad(setting, "group is missing: give the prefix of the groups, such as 239.1.0.0/16");
  return group + limits;
}

absl::Status ReadNode(const std::string& key, const YAML::Node& node, Setting* setting) {
  if (node.IsNull()) return Bad(*setting, "no value; leave the key out for its default");
  if (node.IsScalar()) {
    setting->values.push_back(node.Scalar());
    return absl::OkStatus();
  }
  if (!node.IsSequence()) return Bad(*setting, "give a plain value, not a map");
  for (const YAML::Node& item : node) {
    if (item.IsMap() && key == "logs") {
      absl::StatusOr<std::string> rule = ReadRule(*setting, item);
      if (!rule.ok()) return rule.status();
      setting->values.push_back(*std::move(rule));
      continue;
    }
    if (!item.IsScalar()) return Bad(*setting, "give a list of plain values");
    setting->values.push_back(item.Scalar());
  }
  return absl::OkStatus();
}

// Counts the documents of a text. On some texts, such as a lone comma, the library finds empty ones without end, and
// YAML::LoadAll takes all of them.
class DocumentCounter final : public YAML::EventHandler {
 public:
  // 0, 1, or 2 for more than one.
  static int Count(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentCounter counter;
    while (counter.documents_ < 2 && parser.HandleNextDocument(counter)) continue;
    return counter.documents_;
  }

  void OnDocumentStart(const YAML::Mark&) override { ++documents_; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int documents_ = 0;
};

absl::Status ReadDocument(const std::string& path, const std::string& text, const std::vector<std::string_view>& keys,
                          Settings* settings) {
  if (DocumentCounter::Count(text) > 1) {
    return absl::InvalidArgumentError(
        net::StrCat(path, ": more than one YAML document: give one (a line of --- begins another)"));
  }
  const YAML::Node root = YAML::Load(text);
  if (root.IsNull()) return absl::OkStatus();
  if (!root.IsMap()) return absl::InvalidArgumentError(net::StrCat(path, ": give a map of keys and values"));
  for (const auto& entry : root) {
    const std::string key = entry.first.Scalar();
    const std::string place = net::StrCat(path, ":", entry.first.Mark().line + 1);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      std::vector<std::string> names(keys.begin(), keys.end());
      return absl::InvalidArgumentError(
          net::StrCat(place, ": there is no key '", key, "'; the keys are ", absl::StrJoin(names, ", ")));
    }
    Setting setting{net::StrCat(place, ": ", key), {}};
    if (settings->contains(key)) return Bad(setting, "given twice; give the key once");
    if (absl::Status status = ReadNode(key, entry.second, &setting); !status.ok()) return status;
    settings->emplace(key, std::move(setting));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadConfigFile(const std::string& path, const std::vector<std::string_view>& keys, Settings* settings) {
  const absl::StatusOr<std::string> text = ReadText(path);
  if (!text.ok()) return text.status();
  return ParseConfigFile(path, *text, keys, settings);
}

absl::Status ParseConfigFile(const std::string& path, const std::string& text,
                             const std::vector<std::string_view>& keys, Settings* settings) {
  try {
    return ReadDocument(path, text, keys, settings);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(net::StrCat(path, ":", error.mark.line + 1, ": not valid YAML: ", error.msg));
  }
}

}  // namespace mcgw::app
