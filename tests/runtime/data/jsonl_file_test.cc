#include "runtime/data/jsonl_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::StartsWith;

/// data.fields is what it is by default, "question" and "answer".
DataConfig data_of(Documents documents = Documents::kPacked, const std::vector<std::string>& loss_fields = {}) {
  DataConfig data;
  data.documents = documents;
  data.loss_fields = loss_fields;
  return data;
}

std::string decode(std::string_view lines, std::int64_t vocab = 256) {
  const TemporaryFile file(".jsonl", lines);
  const auto text = open_jsonl_file(file.path(), data_of(), vocab);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(text->size()));
  text->copy(0, tokens, {});
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
  EXPECT_EQ(refusal("{\"question\": null, \"answer\": \"a\"}"), "1: field \"question\" is null, must be a string");
  EXPECT_EQ(refusal(good + "{\"question\": \"~\", \"answer\": \"a\"}", 126),
            "2: holds byte 126, must be below model.vocab, which is 126");
}

TEST(JsonlFileTest, RefusesDeepNestingInsteadOfOverflowing) {
  EXPECT_THAT(refusal("{\"more\": " + std::string(100'000, '[')), StartsWith("1: not JSON: "));
}

TEST(JsonlFileTest, AFieldMayBeAskedForTwiceButNotBeThereTwice) {
  const TemporaryFile file(".jsonl", "{\"a\": \"xyz\"}");
  DataConfig data;
  data.fields = {"a", "a"};
  EXPECT_EQ(open_jsonl_file(file.path(), data, 256)->size(), 7);
  EXPECT_EQ(refusal("{\"question\": \"q\", \"question\": \"r\", \"answer\": \"a\"}"), "1: \"question\" stands twice");
}

TEST(JsonlFileTest, RefusesAFileWithoutText) {
  const TemporaryFile file(".jsonl", "\n\n");
  EXPECT_EQ(bad_input([&] { open_jsonl_file(file.path(), data_of(), 256); }), file.name() + ": holds no text");
}

TEST(JsonlFileTest, RefusesAnEmptyListOfFields) {
  const TemporaryFile file(".jsonl", "{}\n");
  DataConfig data;
  data.fields = {};
  EXPECT_THAT(bad_input([&] { open_jsonl_file(file.path(), data, 256); }), StartsWith("data.fields: is empty"));
}

TEST(JsonlFileTest, PassesOverAByteOrderMarkAndNamesUtf16) {
  EXPECT_EQ(decode("\xef\xbb\xbf{\"question\": \"q\", \"answer\": \"a\"}\n"), "q\na");
  EXPECT_THAT(refusal(std::string_view("\xff\xfe{\0}\0", 6)), StartsWith(" is UTF-16LE, must be UTF-8"));
  EXPECT_EQ(refusal("PAR1"), " is a Parquet file, must be JSONL");
}

TEST(JsonlFileTest, TextFollowsAMarkedLineOfAnyLength) {
  const std::string text(3'000'000, 'x');
  EXPECT_EQ(decode("\xef\xbb\xbf{\"question\": \"" + text + "\", \"answer\": \"a\"}\r\n"), text + "\na");
}

/// The tokens from `first` on, and their marks as digits.
std::pair<std::string, std::string> marked(std::string_view lines, const DataConfig& data, std::int64_t first,
                                           std::size_t count) {
  const TemporaryFile file(".jsonl", lines);
  const auto text = open_jsonl_file(file.path(), data, 256);
  EXPECT_TRUE(text->marked());
  std::vector<std::int32_t> tokens(count);
  std::vector<std::uint8_t> marks(count);
  text->copy(first, tokens, marks);
  std::string digits;
  for (const std::uint8_t mark : marks) digits += static_cast<char>('0' + mark);
  return {{tokens.begin(), tokens.end()}, digits};
}

const std::string kTwoRows = "{\"question\": \"qr\", \"answer\": \"a\"}\n\n{\"question\": \"s\", \"answer\": \"bc\"}\n";

TEST(JsonlFileTest, NewlinesCountAsTheFieldThatTheyEnd) {
  const auto [tokens, marks] = marked(kTwoRows, data_of(Documents::kPacked, {"answer"}), 0, 11);
  EXPECT_EQ(tokens, "qr\na\n\ns\nbc\n");
  EXPECT_EQ(marks, "22200022000");
  EXPECT_EQ(marked(kTwoRows, data_of(Documents::kPacked, {"question"}), 1, 6).second, "002220");
}

TEST(JsonlFileTest, MarksWhereARowBegins) {
  EXPECT_EQ(marked(kTwoRows, data_of(Documents::kSeparate), 0, 11).second, "10000010000");
  EXPECT_EQ(marked(kTwoRows, data_of(Documents::kSeparate, {"answer"}), 2, 6),
            (std::pair<std::string, std::string>("\na\n\ns\n", "200032")));
  const TemporaryFile file(".jsonl", kTwoRows);
  EXPECT_FALSE(open_jsonl_file(file.path(), data_of(), 256)->marked());
  EXPECT_FALSE(open_jsonl_file(file.path(), data_of(Documents::kPacked, {"answer", "question"}), 256)->marked());
}

/// Rows of every length, some blank lines between them, and their text.
std::pair<std::string, std::string> many_rows(int rows) {
  std::string lines, text;
  for (int row = 0; row < rows; ++row) {
    const std::string question(static_cast<std::size_t>(row * 37 % 500), static_cast<char>('a' + row % 26));
    const std::string answer = std::to_string(row);
    lines += "{\"id\": NaN, \"question\": \"" + question + "\", \"answer\": \"" + answer + "\"}\n";
    if (row % 7 == 0) lines += " \r\n";
    text += (row == 0 ? "" : "\n\n") + question + "\n" + answer;
  }
  return {lines, text};
}

TEST(JsonlFileTest, FindsAnyWindowOfAFileWithManyPlaces) {
  const auto [lines, text] = many_rows(500);
  const TemporaryFile file(".jsonl", lines);
  const auto array = open_jsonl_file(file.path(), data_of(), 256);
  ASSERT_EQ(array->size(), static_cast<std::int64_t>(text.size()));
  std::vector<std::int32_t> tokens(301);
  for (std::size_t step = 0; step < 1000; ++step) {
    const std::size_t first = step * 7919 % (text.size() - tokens.size());
    array->copy(static_cast<std::int64_t>(first), tokens, {});
    ASSERT_EQ(std::string(tokens.begin(), tokens.end()), text.substr(first, tokens.size())) << first;
  }
}

}  // namespace

}  // namespace coe
