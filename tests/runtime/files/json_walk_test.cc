#include "runtime/files/json_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/bad_input.h"

namespace coe {
namespace {

using testing::HasSubstr;

/// All items as "path kind text", the path joined by slashes.
std::vector<std::string> items_of(const std::string& text) {
  std::vector<std::string> items;
  walk_json(text, "x", [&](std::span<const std::string> path, const JsonItem& item) {
    std::string line;
    for (const std::string& key : path) line += "/" + key;
    constexpr const char* kKinds[] = {" {", " [", " end", " string ", " integer ", " other "};
    line += kKinds[static_cast<int>(item.kind)] + std::string(item.text);
    items.push_back(item.kind == JsonItem::Kind::kInteger ? line + " " + std::to_string(item.integer) : line);
  });
  return items;
}

std::string refusal(const std::string& text) {
  return bad_input([&] { items_of(text); });
}

TEST(JsonWalk, TellsEverythingInItsOrder) {
  EXPECT_THAT(items_of(R"( {"a": [1, "b\n", {}], "c": {"d": null, "e": -2.5e3}} )"),
              testing::ElementsAre(" {", "/a [", "/a/ integer 1 1", "/a/ string b\n", "/a/ {", "/a/ end", "/a end",
                                   "/c {", "/c/d other null", "/c/e other -2.5e3", "/c end", " end"));
  EXPECT_THAT(items_of("[18446744073709551615, -7, true]"),
              testing::ElementsAre(" [", "/ other 18446744073709551615", "/ integer -7 -7", "/ other true", " end"));
}

TEST(JsonWalk, LongKeysAndStringsComeInOnePiece) {
  const std::string text = std::string(5000, 'k') + "\\u00e9" + std::string(5000, 'k');
  const std::string read = std::string(5000, 'k') + "\xc3\xa9" + std::string(5000, 'k');
  EXPECT_THAT(items_of("{\"" + text + "\":\"" + text + "\"}"),
              testing::ElementsAre(" {", "/" + read + " string " + read, " end"));
}

TEST(JsonWalk, RefusesWhatIsNotJson) {
  for (const std::string text : {"", "{", "[1,]", "{\"a\"}", "nul", "\"\xff\"", "[1e]", "'a'", "\"\\ud800\""}) {
    EXPECT_THAT(refusal(text), HasSubstr("x: not JSON: ")) << text;
  }
  EXPECT_EQ(refusal("{} {}"), "x: not JSON: more follows after 3 bytes");
  EXPECT_THAT(refusal(std::string(100000, '[')), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(std::string(33, '[') + std::string(33, ']')), HasSubstr("not JSON"));
}

TEST(JsonWalk, RefusesAKeyThatStandsTwiceInOneObject) {
  EXPECT_EQ(refusal(R"({"a":1,"b":{"a":1,"\u0061":2}})"), "x: \"a\" stands twice");
  EXPECT_EQ(items_of(R"({"a":{"a":1},"b":[{"a":1},{"a":1}]})").size(), 13U);
}

TEST(JsonWalk, QuotesAreOneShortLine) {
  EXPECT_EQ(in_quotes("a\nb\"\x01"), R"("a\nb\"\u0001")");
  EXPECT_EQ(in_quotes(std::string(300, 'x')), '"' + std::string(200, 'x') + "\"...");
}

}  // namespace
}  // namespace coe
