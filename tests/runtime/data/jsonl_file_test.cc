#include "runtime/data/jsonl_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::StartsWith;

const std::vector<std::string> kFields = {"question", "answer"};

std::string decode(std::string_view lines, std::int64_t vocab = 256) {
  const TemporaryFile file(".jsonl", lines);
  const auto text = open_jsonl_file(file.path(), kFields, vocab);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(text->size()));
  text->copy(0, tokens);
  return {tokens.begin(), tokens.end()};
}

/// The message for `lines`, from the line number on.
std::string refusal(std::string_view lines, std::int64_t vocab = 256) {
  std::string message = bad_input([&] { decode(lines, vocab); });
  const std::string start = testing::TempDir();
  EXPECT_THAT(message, StartsWith(start));
  return message.substr(std::min(message.size(), message.find(".jsonl:") + 7));
}

TEST(JsonlFileTest, JoinsFieldsByANewlineAndDocumentsByABlankLine) {
  EXPECT_EQ(
      decode("{\"id\": 7, \"answer\": \"2\", \"question\": \"1 + 1?\"}\n{\"question\": \"a\\nb\", \"answer\": \"c\"}"),
      "1 + 1?\n2\n\na\nb\nc");
}

TEST(JsonlFileTest, PassesOverEmptyLinesAndCarriageReturns) {
  EXPECT_EQ(decode("{\"question\": \"q\", \"answer\": \"a\"}\r\n\r\n  \n{\"question\": \"r\", \"answer\": \"b\"}\n\n"),
            "q\na\n\nr\nb");
}

TEST(JsonlFileTest, DecodesEscapesToUtf8) {
  EXPECT_EQ(decode("{\"question\": \"\\u00e9\", \"answer\": \"\"}"), "\xc3\xa9\n");
}

TEST(JsonlFileTest, SaysWhichLineIsWrongAndHow) {
  const std::string good = "{\"question\": \"q\", \"answer\": \"a\"}\n";
  EXPECT_THAT(refusal(good + "{\"question\": "), StartsWith("2: not JSON: "));
  EXPECT_THAT(refusal(good + "{\"question\": \"\xff\", \"answer\": \"a\"}"), StartsWith("2: not JSON: "));
  EXPECT_EQ(refusal(good + "\n[1]\n"), "3: is a list, must be an object");
  EXPECT_EQ(refusal("{\"question\": \"q\", \"text\": \"a\"}"),
            "1: lacks the field \"answer\" of data.fields; it has \"question\", \"text\"");
  EXPECT_EQ(refusal("{}"), "1: lacks the field \"question\" of data.fields; it has no field");
  EXPECT_EQ(refusal("{\"question\": 7, \"answer\": \"a\"}"),
            "1: field \"question\" is a whole number, must be a string");
  EXPECT_EQ(refusal("{\"question\": null, \"answer\": \"a\"}"),
            "1: field \"question\" is neither text, whole number, list nor object, must be a string");
  EXPECT_EQ(refusal(good + "{\"question\": \"~\", \"answer\": \"a\"}", 126),
            "2: holds byte 126, must be below model.vocab, which is 126");
}

TEST(JsonlFileTest, RefusesDeepNestingInsteadOfOverflowing) {
  EXPECT_THAT(refusal("{\"more\": " + std::string(100'000, '[')), StartsWith("1: not JSON: "));
}

TEST(JsonlFileTest, AFieldMayBeAskedForTwiceButNotBeThereTwice) {
  const TemporaryFile file(".jsonl", "{\"a\": \"xyz\"}");
  const std::vector<std::string> twice = {"a", "a"};
  EXPECT_EQ(open_jsonl_file(file.path(), twice, 256)->size(), 7);
  EXPECT_EQ(refusal("{\"question\": \"q\", \"question\": \"r\", \"answer\": \"a\"}"), "1: \"question\" stands twice");
}

TEST(JsonlFileTest, RefusesAFileWithoutText) {
  const TemporaryFile file(".jsonl", "\n\n");
  EXPECT_EQ(bad_input([&] { open_jsonl_file(file.path(), kFields, 256); }), file.name() + ": holds no text");
}

TEST(JsonlFileTest, RefusesAnEmptyListOfFields) {
  const TemporaryFile file(".jsonl", "{}\n");
  EXPECT_THAT(bad_input([&] { open_jsonl_file(file.path(), {}, 256); }), StartsWith("data.fields: is empty"));
}

}  // namespace

}  // namespace coe
