#include "runtime/data/jsonl_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bad_input.h"

namespace coe {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

const std::vector<std::string> kFields = {"q", "a"};

std::string text_of(std::string_view line) { return JsonlRowReader(kFields).read(line).text; }
std::string refusal(std::string_view line) {
  return bad_input([&] { text_of(line); });
}

TEST(JsonlRow, HoldsItsFieldsInTheOrderInWhichTheyAreAskedFor) {
  JsonlRowReader reader(kFields);
  const JsonlRow& row = reader.read(R"({"a": "two", "more": "x", "q": "one"})");
  EXPECT_EQ(row.text, "one\ntwo\n\n");
  EXPECT_THAT(row.field_ends, ElementsAre(4U, 9U));
  EXPECT_EQ(reader.read(R"({"q": "", "a": ""})").text, "\n\n\n");
}

TEST(JsonlRow, OtherFieldsMayHoldWhatTheyLike) {
  const std::vector<std::string> values = {"null",
                                           "true",
                                           "[1, {\"q\": 2}]",
                                           "NaN",
                                           "-Infinity",
                                           "[Infinity, NaN,NaN]",
                                           "1e400",
                                           "123456789012345678901234567890",
                                           "\"\\ud83d\"",
                                           "{\"x\": 1, \"x\": 2}",
                                           "\"NaN \\\"\"",
                                           std::string(400, '[') + std::string(400, ']')};
  for (const std::string& value : values) {
    EXPECT_EQ(text_of("{\"x\": " + value + ", \"q\": \"NaN\", \"a\": \"-Infinity\", \"x\": 1}"), "NaN\n-Infinity\n\n")
        << value;
  }
}

TEST(JsonlRow, SaysWhatAFieldHoldsInsteadOfText) {
  const std::vector<std::pair<std::string, std::string>> kinds = {{"null", "null"},
                                                                  {"true", "true"},
                                                                  {"false", "false"},
                                                                  {"7", "a whole number"},
                                                                  {"18446744073709551615", "a whole number"},
                                                                  {"1.5", "a number"},
                                                                  {"NaN", "a number"},
                                                                  {"[]", "a list"},
                                                                  {"{}", "an object"}};
  for (const auto& [value, kind] : kinds) {
    EXPECT_EQ(refusal("{\"q\": " + value + ", \"a\": \"\"}"), "field \"q\" is " + kind + ", must be a string");
    if (value.front() != '{') EXPECT_EQ(refusal(value), "is " + kind + ", must be an object");
  }
}

TEST(JsonlRow, HalfOfASurrogatePairIsTheReplacementCharacter) {
  EXPECT_EQ(text_of(R"({"q": "\ud83d\ude00 \ud83d!", "a": "\ude00\\ud83d"})"),
            "\xf0\x9f\x98\x80 \xef\xbf\xbd!\n\xef\xbf\xbd\\ud83d\n\n");
}

TEST(JsonlRow, AReaderGoesOnAfterARefusal) {
  JsonlRowReader reader(kFields);
  EXPECT_THAT(bad_input([&] { reader.read("{\"q\": \"half"); }), StartsWith("not JSON: "));
  EXPECT_THAT(bad_input([&] { reader.read("{\"q\": \"half\", \"a\": []}"); }), StartsWith("field \"a\""));
  EXPECT_EQ(reader.read(R"({"q": "1", "a": "2"})").text, "1\n2\n\n");
}

TEST(JsonlRow, RefusesWhatIsNotJson) {
  for (const std::string_view line :
       {"{\"x\": NaNs}", "{NaN: 1}", "{\"q\": \"\\ud83\"}", "{\"q\": \"\xff\"}", "{} {}", "{\"q\": \"\t\"}"}) {
    EXPECT_THAT(refusal(line), StartsWith("not JSON: ")) << line;
  }
  // What is wrong first is said.
  EXPECT_EQ(refusal("{\"q\": NaNs}"), "field \"q\" is a number, must be a string");
  EXPECT_EQ(refusal("Infinity}"), "is a number, must be an object");
}

}  // namespace
}  // namespace coe
