#include "server/app/config_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "server/net/file.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr size_t kMostBytes = 1 << 20;

// Keys whose entries may be maps, and the map's key for the entry's first word.
struct MapForm {
  std::string_view key;
  std::string_view first;
  std::string_view first_is;
};
constexpr MapForm kMapForms[] = {
    {"logs", "group", "the prefix of the groups, such as 239.1.0.0/16"},
    {"listen", "address", "where to listen, such as 127.0.0.1:50051"},
};

const MapForm* FindMapForm(std::string_view key) {
  const auto* const at =
      std::find_if(std::begin(kMapForms), std::end(kMapForms), [=](const MapForm& form) { return form.key == key; });
  return at == std::end(kMapForms) ? nullptr : at;
}

// The text form of a map: {group: 239.1.0.0/16, age: 30s} is "239.1.0.0/16 age=30s".
absl::StatusOr<std::string> ReadMap(const Setting& setting, const MapForm& form, const YAML::Node& map) {
  std::string first;
  std::string others;
  std::set<std::string> names;
  for (const auto& entry : map) {
    const std::string name = entry.first.Scalar();
    if (!names.insert(name).second) return Bad(setting, name, " is given twice in one entry");
    std::vector<std::string> values;
    if (entry.second.IsScalar()) values.push_back(entry.second.Scalar());
    if (entry.second.IsSequence()) {
      for (const YAML::Node& item : entry.second) values.push_back(item.IsScalar() ? item.Scalar() : "");
    }
    if (values.empty()) return Bad(setting, name, ": give a plain value, or a list of them");
    for (const std::string& value : values) {
      if (value.empty()) return Bad(setting, name, ": an empty value; leave it out for the default");
      if (value.find(' ') != std::string::npos) return Bad(setting, name, ": '", value, "' contains a space");
      if (name == form.first) {
        if (!first.empty()) return Bad(setting, name, ": give one value");
        first = value;
      } else {
        others += net::StrCat(" ", name, "=", value);
      }
    }
  }
  if (first.empty()) return Bad(setting, form.first, " is missing: give ", form.first_is);
  return first + others;
}

absl::Status ReadNode(const std::string& key, const YAML::Node& node, Setting* setting) {
  if (node.IsNull()) return Bad(*setting, "no value; leave the key out for its default");
  if (node.IsScalar()) {
    setting->values.push_back(node.Scalar());
    return absl::OkStatus();
  }
  if (!node.IsSequence()) return Bad(*setting, "give a plain value, not a map");
  for (const YAML::Node& item : node) {
    if (const MapForm* const form = FindMapForm(key); item.IsMap() && form != nullptr) {
      absl::StatusOr<std::string> entry = ReadMap(*setting, *form, item);
      if (!entry.ok()) return entry.status();
      setting->values.push_back(*std::move(entry));
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
  const absl::StatusOr<std::string> text = net::ReadSmallFile(path, kMostBytes);
  if (!text.ok()) return absl::InvalidArgumentError(net::StrCat("--config: ", text.status().message()));
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
