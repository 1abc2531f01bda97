#include "bench/json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace mcgw::bench {
namespace {

TEST(JsonTextTest, EscapesOnlyWhatItMust) {
  EXPECT_EQ(JsonText("it's 5 %"), "\"it's 5 %\"");
  EXPECT_EQ(JsonText("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(JsonText(std::string("\n\0\x1f", 3)), "\"\\u000a\\u0000\\u001f\"");
  EXPECT_EQ(JsonText("µs"), "\"µs\"");
}

TEST(JsonNumberTest, IsReadBackAsTheSame) {
  for (const double value : {0.0, 0.1, -2.5, 1e-9, 123456789.125, 1e300, 9007199254740993.0}) {
    EXPECT_EQ(std::stod(JsonNumber(value)), value);
  }
  EXPECT_EQ(JsonNumber(50'000), "50000");
}

TEST(JsonNumberTest, WhatIsNoNumberIsNull) {
  EXPECT_EQ(JsonNumber(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(JsonNumber(std::numeric_limits<double>::infinity()), "null");
}

TEST(JsonWriterTest, SeparatesMembers) {
  JsonWriter json;
  json.Open('{').Key("a").Number(1).Key("b").Open('[').Text("x").Bool(true).Open('[').Close().Close();
  json.Key("c").Open('{').Close().Close();
  EXPECT_EQ(json.text(), "{\n\"a\":1,\n\"b\":[\n\"x\",\ntrue,\n[]],\n\"c\":{}}\n");
}

}  // namespace
}  // namespace mcgw::bench
