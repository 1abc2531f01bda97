#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/cli/datagram_format.h"
#include "client/cli/event_text.h"
#include "client/cli/flags.h"
#include "client/cli/printable.h"
#include "client/cli/receive_account.h"
#include "client/cli/star_text.h"
#include "client/cli/table.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

using ::testing::HasSubstr;

v1::Channel MakeChannel(uint64_t id, uint64_t next_sequence) {
  v1::Channel channel;
  channel.set_channel_id(id);
  channel.set_interface_name("eth0");
  channel.set_group("239.1.1.1");
  channel.set_port(5000);
  channel.set_next_sequence(next_sequence);
  return channel;
}

v1::Datagram MakeDatagram(uint64_t sequence, const std::string& payload) {
  v1::Datagram datagram;
  datagram.set_channel_id(1);
  datagram.set_sequence(sequence);
  datagram.set_source_address(std::string("\x0a\x00\x00\x02", 4));
  datagram.set_source_port(41000);
  datagram.set_receive_time_unix_ns(1'700'000'000'123'456'789);
  datagram.set_hop_limit(3);
  datagram.set_traffic_class(184);
  datagram.set_payload(payload);
  return datagram;
}

std::string Format(OutputFormat format, const v1::Datagram& datagram) {
  const ChannelTable channels = {{1, MakeChannel(1, 1)}};
  std::string out;
  DatagramFormatter(format, &channels).Append(datagram, &out);
  return out;
}

constexpr char kHeader[] = "2023-11-14T22:13:20.123456Z 239.1.1.1:5000%eth0 10.0.0.2:41000 ttl=3 seq=42 size=";

TEST(DatagramFormatTest, TextIsOneLine) {
  EXPECT_EQ(Format(OutputFormat::kText, MakeDatagram(42, "hi\n\xff!")), std::string(kHeader) + "5 hi..!\n");
  EXPECT_EQ(Format(OutputFormat::kText, MakeDatagram(42, "")), std::string(kHeader) + "0\n");
  EXPECT_THAT(Format(OutputFormat::kText, MakeDatagram(42, std::string(65, 'x'))),
              HasSubstr(std::string(64, 'x') + "...\n"));
}

TEST(DatagramFormatTest, JsonIsOneObjectOnALine) {
  EXPECT_EQ(Format(OutputFormat::kJson, MakeDatagram(42, std::string("\0\"x", 3))),
            "{\"time\":\"2023-11-14T22:13:20.123456789Z\",\"receive_time_unix_ns\":1700000000123456789,"
            "\"channel_id\":1,\"channel\":\"239.1.1.1:5000%eth0\",\"interface\":\"eth0\",\"group\":\"239.1.1.1\","
            "\"port\":5000,\"source\":\"10.0.0.2\",\"source_port\":41000,\"hop_limit\":3,\"traffic_class\":184,"
            "\"sequence\":42,\"size\":3,\"payload\":\"ACJ4\"}\n");
}

TEST(DatagramFormatTest, HexHasAHeaderAndSixteenBytesToALine) {
  EXPECT_EQ(Format(OutputFormat::kHex, MakeDatagram(42, "0123456789abcdefX\n")),
            std::string(kHeader) + "18\n" +
                "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
                "00000010  58 0a                                             |X.|\n");
}

TEST(DatagramFormatTest, RawIsThePayloadAlone) {
  EXPECT_EQ(Format(OutputFormat::kRaw, MakeDatagram(42, std::string("a\0b\n", 4))), std::string("a\0b\n", 4));
}

TEST(DatagramFormatTest, AnUnknownChannelIsShownById) {
  v1::Datagram datagram = MakeDatagram(42, "x");
  datagram.set_channel_id(9);
  EXPECT_THAT(Format(OutputFormat::kText, datagram), HasSubstr(" channel#9 "));
  EXPECT_THAT(Format(OutputFormat::kJson, datagram), HasSubstr("\"channel_id\":9,\"source\""));
}

std::string JsonOf(absl::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

TEST(JsonStringTest, EscapesWhatJsonAsksFor) { EXPECT_EQ(JsonOf("a\"\\\n\x1b\x7f"), R"("a\"\\\u000a\u001b\u007f")"); }

TEST(JsonStringTest, KeepsUtf8) {
  EXPECT_EQ(JsonOf("br\xc3\xbc"
                   "cke \xe6\xa9\x8b \xf0\x9f\x8c\x89"),
            "\"br\xc3\xbc"
            "cke \xe6\xa9\x8b \xf0\x9f\x8c\x89\"");
}

TEST(JsonStringTest, EscapesWhatMayAffectATerminal) {
  // A right-to-left override, and a tag character beyond 16 bits.
  EXPECT_EQ(JsonOf("a\xe2\x80\xae\xf3\xa0\x80\xa1"), R"("a\u202e\udb40\udc21")");
}

TEST(JsonStringTest, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(JsonOf("\xe9t\xe9"), R"("\ufffdt\ufffd")");
  EXPECT_EQ(JsonOf("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");  // A surrogate.
  EXPECT_EQ(JsonOf("\xc0\xaf"), R"("\ufffd\ufffd")");            // Overlong.
  EXPECT_EQ(JsonOf("\xe6\xa9"), R"("\ufffd\ufffd")");            // Cut off.
}

TEST(TableTest, ColumnsAlignAndEmptyCellsAreDashes) {
  EXPECT_EQ(FormatTable({{"A", "LONG", "C"}, {"value", "", "x"}}), "A      LONG  C\nvalue  -     x\n");
}

v1::Event SubscribedEvent(uint64_t next_sequence) {
  v1::Event event;
  auto* state = event.mutable_subscribed()->add_channels();
  *state->mutable_channel() = MakeChannel(1, next_sequence);
  state->set_state(v1::JOIN_STATE_JOINED);
  return event;
}

v1::Event GapEvent(uint64_t first, uint64_t last, v1::GapCause cause) {
  v1::Event event;
  event.mutable_gap()->set_channel_id(1);
  event.mutable_gap()->set_cause(cause);
  event.mutable_gap()->mutable_range()->set_first(first);
  event.mutable_gap()->mutable_range()->set_last(last);
  return event;
}

v1::Event PositionEvent(uint64_t next_sequence) {
  v1::Event event;
  event.mutable_position()->set_channel_id(1);
  event.mutable_position()->set_next_sequence(next_sequence);
  return event;
}

TEST(EventTextTest, SubscribedNamesChannelAndInterface) {
  const auto lines = DescribeEvent(SubscribedEvent(1), {});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].text, "subscribed to 239.1.1.1:5000 on eth0");
  EXPECT_FALSE(lines[0].loss);
}

TEST(EventTextTest, AGapIsALossWithItsExtentAndCause) {
  const ChannelTable channels = {{1, MakeChannel(1, 1)}};
  auto lines = DescribeEvent(GapEvent(5, 7, v1::GAP_CAUSE_KERNEL_DROP), channels);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].loss);
  EXPECT_EQ(
      lines[0].text,
      "gap in 239.1.1.1:5000%eth0: 3 datagrams lost, sequence 5 to 7, dropped by the kernel of the gateway's host");
  lines = DescribeEvent(GapEvent(5, 5, v1::GAP_CAUSE_LAGGED), channels);
  EXPECT_THAT(lines[0].text, HasSubstr("1 datagram lost, sequence 5, skipped"));
}

TEST(EventTextTest, WhatOnlyProgramsNeedIsNotSaid) { EXPECT_TRUE(DescribeEvent(PositionEvent(9), {}).empty()); }

TEST(EventTextTest, ARenameChangesTheTable) {
  ChannelTable channels = {{1, MakeChannel(1, 1)}};
  v1::Event event;
  event.mutable_interface_renamed()->set_old_name("eth0");
  event.mutable_interface_renamed()->set_new_name("lan0");
  UpdateChannels(event, &channels);
  EXPECT_EQ(channels[1].interface_name(), "lan0");
}

TEST(ReceiveAccountTest, AnnouncedLossesAreNoFault) {
  ReceiveAccount account(/*filtered=*/false);
  account.Take(SubscribedEvent(10));
  account.Take(MakeDatagram(10, "abc"));
  account.Take(GapEvent(11, 13, v1::GAP_CAUSE_KERNEL_DROP));
  account.Take(MakeDatagram(14, "de"));
  account.Take(PositionEvent(15));
  EXPECT_EQ(account.datagrams(), 2u);
  EXPECT_EQ(account.bytes(), 5u);
  EXPECT_EQ(account.channels().at(1).lost.at(v1::GAP_CAUSE_KERNEL_DROP), 3u);
  EXPECT_EQ(account.Faults({}), "");
  EXPECT_THAT(account.Summary(absl::Seconds(2), {}), HasSubstr("3 lost; 3 dropped by the kernel"));
}

TEST(ReceiveAccountTest, HolesWithoutAGapAreFaultsUnlessFiltered) {
  for (const bool filtered : {false, true}) {
    ReceiveAccount account(filtered);
    account.Take(SubscribedEvent(1));
    account.Take(MakeDatagram(3, "x"));
    account.Take(PositionEvent(6));
    EXPECT_EQ(account.channels().at(1).unannounced, 4u);
    EXPECT_EQ(account.Faults({}).empty(), filtered);
  }
}

TEST(ReceiveAccountTest, RepeatedSequencesAreFaults) {
  ReceiveAccount account(/*filtered=*/true);
  account.Take(SubscribedEvent(1));
  account.Take(MakeDatagram(1, "x"));
  account.Take(MakeDatagram(1, "x"));
  EXPECT_THAT(account.Faults({}), HasSubstr("twice or out of order"));
}

TEST(ReceiveAccountTest, AnotherEpochCountsAnew) {
  ReceiveAccount account(/*filtered=*/false);
  account.Take(SubscribedEvent(1000));
  v1::Event event;
  event.mutable_gap()->set_channel_id(1);
  event.mutable_gap()->set_cause(v1::GAP_CAUSE_OTHER_EPOCH);
  event.mutable_gap()->mutable_unknown()->set_before_sequence(1);
  account.Take(event);
  account.Take(MakeDatagram(1, "x"));
  EXPECT_EQ(account.Faults({}), "");
  EXPECT_EQ(account.channels().at(1).unknown_gaps.at(v1::GAP_CAUSE_OTHER_EPOCH), 1u);
}

TEST(FlagsTest, NumbersOutOfRangeNameFlagValueAndRange) {
  const NumberFlag ttl = {"--ttl", "hop_limit", v1::ERROR_REASON_INVALID_HOP_LIMIT, 0, 255};
  EXPECT_EQ(*ParseNumber(ttl, "0"), 0);
  EXPECT_EQ(*ParseNumber(ttl, "255"), 255);
  for (const char* text : {"256", "-1", "x", "", "1.5"}) {
    const auto number = ParseNumber(ttl, text);
    ASSERT_FALSE(number.ok()) << text;
    EXPECT_EQ(client::Describe(number.status()), std::string("INVALID_HOP_LIMIT: --ttl ") + text +
                                                     " must be a whole number from 0 to 255 (field: hop_limit)");
  }
}

TEST(FlagsTest, RatesHaveUnits) {
  EXPECT_EQ(*ParseRate("--bitrate", "4M"), 4e6);
  EXPECT_EQ(*ParseRate("--bitrate", "1.5k"), 1500);
  EXPECT_EQ(*ParseRate("--rate", "0.5"), 0.5);
  for (const char* text : {"0", "-1", "M", "", "4MM", "nan", "inf", "1e13", "4x"}) {
    EXPECT_FALSE(ParseRate("--rate", text).ok()) << text;
  }
}

TEST(FlagsTest, DurationsAreSecondsOrHaveAUnit) {
  const auto parse = [](absl::string_view text) {
    return ParseDuration("--wait", text, absl::Milliseconds(1), absl::Hours(1));
  };
  EXPECT_EQ(*parse("0.25"), absl::Milliseconds(250));
  EXPECT_EQ(*parse("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*parse("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(*parse("1h"), absl::Hours(1));
  for (const char* text : {"0", "-1", "3601", "2h", "x", "5 s", "10d", "nan", "inf", "-inf", "1e300", ""}) {
    EXPECT_FALSE(parse(text).ok()) << text;
  }
  EXPECT_EQ(parse("2h").status().message(),
            "--wait 2h must be a number of seconds from 0.001 to 3600, or a duration such as 1500ms or 2m");
}

// ---- Why `*` takes nothing ----

v1::NetworkInterface LeftOut(const std::string& name, std::vector<v1::StarExclusion> exclusions) {
  v1::NetworkInterface interface;
  interface.set_name(name);
  interface.set_index(1);
  for (const v1::StarExclusion exclusion : exclusions) {
    interface.mutable_ipv4()->add_star_exclusions(exclusion);
    interface.mutable_ipv6()->add_star_exclusions(exclusion);
  }
  return interface;
}

TEST(DescribeStarTest, NamesEachInterfaceAndWhy) {
  std::vector<v1::NetworkInterface> interfaces = {
      LeftOut("lo", {v1::STAR_EXCLUSION_LOOPBACK}),
      LeftOut("eth0", {v1::STAR_EXCLUSION_DOWN, v1::STAR_EXCLUSION_NO_ADDRESS})};
  EXPECT_EQ(DescribeStar(interfaces, "239.1.1.1"),
            "`*` takes no interface for IPv4; it leaves out lo (the loopback), "
            "eth0 (down, without an address of the family)");
  EXPECT_THAT(DescribeStar(interfaces, "ff15::1"), HasSubstr("for IPv6"));
  interfaces.push_back(LeftOut("eth1", {}));
  EXPECT_EQ(DescribeStar(interfaces, "239.1.1.1"), "");
}

TEST(DescribeStarTest, HasWordsForEachExclusionAndCutsALongList) {
  std::vector<v1::NetworkInterface> interfaces;
  const auto* const exclusions = v1::StarExclusion_descriptor();
  for (int i = 1; i < exclusions->value_count(); ++i) {
    interfaces = {LeftOut("eth0", {static_cast<v1::StarExclusion>(exclusions->value(i)->number())})};
    EXPECT_EQ(DescribeStar(interfaces, "239.1.1.1").find("does not know"), std::string::npos)
        << exclusions->value(i)->name();
  }
  interfaces.assign(300, LeftOut("eth0", {v1::STAR_EXCLUSION_DOWN}));
  EXPECT_LT(DescribeStar(interfaces, "239.1.1.1").size(), 300u);
}

TEST(PrintableTest, WhatCanBeSeenStaysAsItIs) {
  for (const char* text : {"", "eth0 10.0.0.2", "two\nlines", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(PrintableTest, WhatATerminalWouldObeyIsEscaped) {
  EXPECT_EQ(Printable("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("a\rb\x7f"), "a\\x0db\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // The control character that stands for ESC [.
  EXPECT_EQ(Printable("a\xe2\x80\xae"
                      "b"),
            "a\\xe2\\x80\\xae"
            "b");  // Right to left from here on.
}

TEST(PrintableTest, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Printable("\xc0\x9b"), "\\xc0\\x9b");           // Longer than it must be.
  EXPECT_EQ(Printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");  // The same in three bytes.
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // A surrogate.
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");           // Cut off.
}

TEST(PrintableTest, ADatagramsLineIsPrintable) {
  ChannelTable channels;
  channels[1] = MakeChannel(1, 1);
  channels[1].set_interface_name("\x1b[2J");
  DatagramFormatter formatter(OutputFormat::kText, &channels);
  std::string line;
  formatter.Append(MakeDatagram(1, "x"), &line);
  EXPECT_THAT(line, HasSubstr("%\\x1b[2J"));
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace mcgw::cli
