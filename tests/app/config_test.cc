#include "server/app/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"

namespace mcgw::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : file_(testing::TempDir() + "mcgw_config_test.yaml") {}
  ~ConfigTest() override {
    for (const std::string& variable : variables_) unsetenv(variable.c_str());
    remove(file_.c_str());
  }

  void Write(const std::string& text) { std::ofstream(file_) << text; }
  void SetVariable(const std::string& name, const std::string& value) {
    setenv(name.c_str(), value.c_str(), 1);
    variables_.push_back(name);
  }
  static absl::StatusOr<CommandLine> Read(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "mcgwd");
    return ReadCommandLine(static_cast<int>(arguments.size()), arguments.data());
  }
  absl::StatusOr<CommandLine> ReadFile(const std::string& text) {
    Write(text);
    return Read({"--config", file_.c_str()});
  }
  static std::string Complaint(const absl::StatusOr<CommandLine>& line) {
    EXPECT_FALSE(line.ok());
    return std::string(line.status().message());
  }

  const std::string file_;
  std::vector<std::string> variables_;
};

TEST_F(ConfigTest, WithoutAnythingTheDefaultsHold) {
  const absl::StatusOr<CommandLine> line = Read({});
  ASSERT_TRUE(line.ok()) << line.status();
  const Config& config = line->config;
  EXPECT_THAT(config.listen(), ElementsAre("127.0.0.1:50051"));
  EXPECT_EQ(config.interfaces_size(), 0);
  EXPECT_EQ(config.log_level(), "info");
  EXPECT_EQ(config.session_lease().seconds(), 60);
  EXPECT_EQ(config.drain_grace().seconds(), 5);
  EXPECT_EQ(config.channel_log_bytes(), 4u << 20);
  EXPECT_EQ(config.subscriber_lag_limit_bytes(), 4u << 20);
  EXPECT_EQ(config.max_channels(), 20000u);
  EXPECT_EQ(config.max_holder_sources(), 100'000u);
  EXPECT_EQ(config.max_total_memberships(), 2'000'000u);
  EXPECT_EQ(config.max_total_sources(), 1'000'000u);
}

TEST_F(ConfigTest, AFlagRulesOverTheEnvironmentAndThatOverTheFile) {
  const std::string text = "max_channels: 1\nmax_sessions: 1\nmax_sources: 1\nlisten: ['127.0.0.1:1']\n";
  SetVariable("MCGW_MAX_SESSIONS", "2");
  SetVariable("MCGW_MAX_SOURCES", "2");
  SetVariable("MCGW_LISTEN", "127.0.0.1:2,unix:/run/two");
  Write(text);
  const absl::StatusOr<CommandLine> line = Read({"--config", file_.c_str(), "--max-sources", "3"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.max_channels(), 1u);
  EXPECT_EQ(line->config.max_sessions(), 2u);
  EXPECT_EQ(line->config.max_sources(), 3u);
  EXPECT_THAT(line->config.listen(), ElementsAre("127.0.0.1:2", "unix:/run/two"));
}

TEST_F(ConfigTest, AListIsRepeatedAsAFlag) {
  const absl::StatusOr<CommandLine> line =
      Read({"--interface", "a0", "--interface=a1", "--listen", "[::1]:50051", "--listen", "unix:/run/s"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.interfaces(), ElementsAre("a0", "a1"));
  EXPECT_THAT(line->config.listen(), ElementsAre("[::1]:50051", "unix:/run/s"));
}

TEST_F(ConfigTest, DurationsHaveUnits) {
  absl::StatusOr<CommandLine> line = Read({"--session-lease", "1.5s", "--drain-grace", "2m"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.session_lease().nanos(), 500'000'000);
  EXPECT_EQ(line->config.drain_grace().seconds(), 120);
  EXPECT_THAT(Complaint(Read({"--session-lease", "30"})), HasSubstr("--session-lease: '30' is not a duration"));
}

TEST_F(ConfigTest, ErrorsNameThePlaceTheValueAndWhatWouldBeRight) {
  EXPECT_THAT(Complaint(ReadFile("log_level: info\nlisen: x\n")), HasSubstr(file_ + ":2: there is no key 'lisen'"));
  EXPECT_THAT(Complaint(ReadFile("max_channels: many\n")), HasSubstr("max_channels: 'many' is not a whole number"));
  EXPECT_THAT(Complaint(ReadFile("max_channels: -1\n")), HasSubstr("from 1 to 1000000"));
  EXPECT_THAT(Complaint(ReadFile("max_channels: [1, 2]\n")), HasSubstr("give one value"));
  EXPECT_THAT(Complaint(ReadFile("listen: {a: b}\n")), HasSubstr("not a map"));
  EXPECT_THAT(Complaint(ReadFile("listen: [\n")), HasSubstr("not valid YAML"));
  EXPECT_THAT(Complaint(ReadFile("just a text\n")), HasSubstr("a map of keys"));
  EXPECT_THAT(Complaint(Read({"--config", "/nowhere.yaml"})), HasSubstr("/nowhere.yaml"));
  EXPECT_THAT(Complaint(Read({"--log-level", "loud"})), HasSubstr("'loud' is not one of: trace debug info"));
  EXPECT_THAT(Complaint(Read({"--listen", "0.0.0.0:50051"})), HasSubstr("not a loopback address"));
  EXPECT_THAT(Complaint(Read({"--insecure-allow-plaintext", "0.0.0.0:50051"})), HasSubstr("is not a listener"));
  EXPECT_THAT(Complaint(ReadFile("listen: [{certificate: /c}]\n")), HasSubstr("address is missing"));
  EXPECT_THAT(Complaint(ReadFile("listen: [{address: 'unix:/s', group: [a, b]}]\n")), HasSubstr("group"));
  EXPECT_THAT(Complaint(ReadFile("listen: [{address: 'unix:/s', name: 'a b'}]\n")), HasSubstr("contains a space"));
  EXPECT_THAT(Complaint(Read({"--nosuch"})), HasSubstr("--nosuch"));
  SetVariable("MCGW_MAX_SOURCES", "0");
  EXPECT_THAT(Complaint(Read({})), HasSubstr("MCGW_MAX_SOURCES: '0'"));
}

TEST_F(ConfigTest, AnEmptyValueIsNoDefault) {
  for (const char* text : {"interfaces:\n", "interfaces: []\n", "interfaces: ['']\n", "interfaces: ''\n",
                           "interfaces: [d1, '']\n", "listen: []\n", "listen: ''\n", "default_interface: ''\n",
                           "default_interface: ~\n", "max_channels: ''\n", "log_level: ''\n", "drain_grace:\n"}) {
    EXPECT_THAT(Complaint(ReadFile(text)), HasSubstr("leave")) << text;
  }
  Write("interfaces: [d1]\n");
  for (int i = 0; i < Config::descriptor()->field_count(); ++i) {
    const std::string variable = "MCGW_" + absl::AsciiStrToUpper(Config::descriptor()->field(i)->name());
    setenv(variable.c_str(), "", 1);
    EXPECT_THAT(Complaint(Read({"--config", file_.c_str()})), HasSubstr(variable + ": an empty value"));
    unsetenv(variable.c_str());
  }
  for (const char* value : {",", "d1,", ",d1", "d1,,d2", " "}) {
    SetVariable("MCGW_INTERFACES", value);
    EXPECT_THAT(Complaint(Read({})), HasSubstr("MCGW_INTERFACES: an empty value")) << value;
  }
  unsetenv("MCGW_INTERFACES");
  for (const char* flag : {"--interface", "--listen", "--default-interface", "--max-channels", "--config"}) {
    EXPECT_THAT(Complaint(Read({flag, ""})), HasSubstr(std::string(flag) + ": an empty value")) << flag;
    EXPECT_FALSE(Read({(std::string(flag) + "=").c_str()}).ok()) << flag;
  }
  SetVariable("MCGW_CONFIG", "");
  EXPECT_THAT(Complaint(Read({})), HasSubstr("MCGW_CONFIG: an empty value"));
}

TEST_F(ConfigTest, WhatIsSaidTwiceIsRefused) {
  EXPECT_THAT(Complaint(ReadFile("max_channels: 5\nmax_sessions: 1\nmax_channels: 5\n")),
              HasSubstr(file_ + ":3: max_channels: given twice"));
  EXPECT_THAT(Complaint(ReadFile("max_channels: 5\n---\nmax_channels: 6\n")), HasSubstr("more than one YAML document"));
  EXPECT_THAT(Complaint(ReadFile("---\n---\nmax_channels: 6\n")), HasSubstr("more than one YAML document"));
  EXPECT_TRUE(ReadFile("---\nmax_channels: 5\n").ok());
  EXPECT_THAT(Complaint(Read({"--listen", "127.0.0.1:1", "--listen", "localhost:1"})), HasSubstr("given twice"));
  EXPECT_THAT(Complaint(Read({"--listen", "unix:/run/s", "--listen", "unix:/run/./s"})), HasSubstr("given twice"));
  EXPECT_TRUE(Read({"--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"}).ok());
  EXPECT_THAT(Complaint(Read({"--max-channels", "1", "--max-channels", "2"})), HasSubstr("give one value"));
  EXPECT_THAT(Complaint(Read({"--log", "239.1.0.0/16 age=1s", "--log", "239.1.0.0/16 age=2s"})),
              HasSubstr("a second rule"));
  EXPECT_THAT(Complaint(Read({"--log", "239.1.0.0/16 age=1s age=2s"})), HasSubstr("a second age"));
  EXPECT_THAT(Complaint(ReadFile("logs: [{group: 239.1.1.1, age: 1s, age: 2s}]\n")), HasSubstr("twice"));
}

TEST_F(ConfigTest, TheFileIsARegularOneOfBoundedSize) {
  EXPECT_THAT(Complaint(Read({"--config", testing::TempDir().c_str()})), HasSubstr("not a regular file"));
  EXPECT_THAT(Complaint(Read({"--config", "/dev/zero"})), HasSubstr("not a regular file"));
  remove(file_.c_str());
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  EXPECT_THAT(Complaint(Read({"--config", file_.c_str()})), HasSubstr("not a regular file"));
  remove(file_.c_str());
  EXPECT_THAT(Complaint(ReadFile(std::string(2 << 20, '#'))), HasSubstr("larger than"));
  EXPECT_TRUE(ReadFile(std::string(500'000, '#')).ok());
}

TEST_F(ConfigTest, YamlThatTheLibraryThrowsOnIsAnError) {
  for (const std::string& text :
       {std::string(100'000, '['), std::string(100'000, '{'), std::string("max_channels: *nowhere\n"),
        std::string("? [a, b]\n: c\n"), std::string("&a [*a]: 1\n"), std::string("\x00\x01\x02", 3),
        std::string("a: b: c\n"), std::string("%YAML 9.9\n---\n- 1\n"), std::string("- \t- x"),
        std::string("!<x> : !!y z"), std::string(",- "), std::string("listen: !!binary x\n")}) {
    EXPECT_FALSE(ReadFile(text).ok()) << text.substr(0, 40);
  }
}

TEST_F(ConfigTest, NamesThatNoInterfaceCanHaveAreRefused) {
  for (const char* name : {"a b", "a/b", "d1,d2", "*", "a\nb", "\x1b[31m"}) {
    EXPECT_THAT(Complaint(Read({"--interface", name})), HasSubstr("is not an interface name")) << name;
    EXPECT_THAT(Complaint(Read({"--default-interface", name})), HasSubstr("is not an interface name")) << name;
  }
  EXPECT_THAT(Complaint(ReadFile("interfaces: \"d1, d2\"\n")), HasSubstr("is not an interface name"));
  EXPECT_TRUE(Read({"--interface", "eth0.100@x-y_z"}).ok());
}

TEST_F(ConfigTest, AVariableThatIsNotKnownIsWarnedOf) {
  SetVariable("MCGW_LISEN", "127.0.0.1:1");
  SetVariable("MCGW_SERVICE_HOST", "10.0.0.1");  // Of Kubernetes.
  SetVariable("MCGW_PORT_50051_TCP", "tcp://10.0.0.1:50051");
  SetVariable("MCGW_GATEWAY", "127.0.0.1:1");  // Of mcgw.
  const absl::StatusOr<CommandLine> line = Read({});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->warnings, testing::Contains(HasSubstr("MCGW_LISEN: ignored, as mcgwd has no such variable")));
  for (const char* other : {"SERVICE", "PORT", "GATEWAY"}) {
    EXPECT_THAT(line->warnings, testing::Not(testing::Contains(HasSubstr(std::string("MCGW_") + other))));
  }
}

TEST_F(ConfigTest, APathWithANulByteIsNotCutThere) {
  EXPECT_THAT(Complaint(ReadFile("listen: \"unix:/run/a\\0b\"\n")), HasSubstr("NUL byte"));
}

TEST_F(ConfigTest, SizesMustFitEachOther) {
  EXPECT_THAT(Complaint(Read({"--total-log-bytes", "1000000", "--channel-log-bytes", "2000000"})),
              HasSubstr("less than channel_log_bytes"));
  EXPECT_THAT(Complaint(Read({"--subscriber-lag-limit-bytes", "9000000"})), HasSubstr("more than channel_log_bytes"));
}

TEST_F(ConfigTest, LogsHaveRulesByGroup) {
  const absl::StatusOr<CommandLine> line = ReadFile(
      "channel_log_age: 10m\nlogs:\n  - {group: 239.1.0.0/16, bytes: 1048576, age: 30s}\n  - ff15::/16 age=1m\n");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.logs(), ElementsAre("239.1.0.0/16 bytes=1048576 age=30s", "ff15::/16 age=1m"));
  const gateway::Options options = GatewayOptions(line->config);
  EXPECT_EQ(options.channel_log_age, absl::Minutes(10));
  ASSERT_EQ(options.log_rules.size(), 2u);
  EXPECT_EQ(options.log_rules[0].bytes, 1048576u);
  EXPECT_EQ(options.log_rules[1].age, absl::Minutes(1));
  EXPECT_TRUE(Read({"--log", "239.1.1.1 age=5s", "--log", "239.1.1.2 bytes=300000"}).ok());
  EXPECT_THAT(Complaint(ReadFile("logs: [{bytes: 300000}]\n")), HasSubstr("group is missing"));
  EXPECT_THAT(Complaint(ReadFile("logs: [{group: 239.1.1.1, size: 3}]\n")), HasSubstr("'size=3'"));
  EXPECT_THAT(Complaint(Read({"--log", "10.0.0.0/8 age=5s"})), HasSubstr("logs: '10.0.0.0/8'"));
  EXPECT_THAT(Complaint(Read({"--total-log-bytes", "5000000", "--log", "239.1.1.1 bytes=6000000"})),
              HasSubstr("more than total_log_bytes"));
}

TEST_F(ConfigTest, ChangedKeysAreThoseThatDiffer) {
  const absl::StatusOr<CommandLine> before = Read({});
  const absl::StatusOr<CommandLine> after =
      Read({"--log-level", "debug", "--listen", "127.0.0.1:1", "--drain-grace", "1s"});
  EXPECT_THAT(ChangedKeys(before->config, after->config), ElementsAre("listen", "log_level", "drain_grace"));
  EXPECT_TRUE(ChangedKeys(before->config, before->config).empty());
}

TEST_F(ConfigTest, HelpAndVersionAreForPrinting) {
  const absl::StatusOr<CommandLine> help = Read({"--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_TRUE(help->print_and_exit);
  EXPECT_THAT(help->text, HasSubstr("--channel-log-bytes"));
  EXPECT_THAT(Read({"--version"})->text, HasSubstr("mcgwd 0."));
}

TEST_F(ConfigTest, EveryKeyStandsInTheDocumentation) {
  std::ostringstream text;
  text << std::ifstream(MCGW_SOURCE_DIR "/docs/configuration.md").rdbuf();
  for (int i = 0; i < Config::descriptor()->field_count(); ++i) {
    EXPECT_THAT(text.str(), HasSubstr("`" + Config::descriptor()->field(i)->name() + "`"));
  }
}

}  // namespace
}  // namespace mcgw::app
