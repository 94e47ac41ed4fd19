#include "runtime/data/token_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bad_input.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {

namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::int64_t kVocab = 256;
constexpr std::uint64_t kSeed = 1;

std::string read(const TokenSource& source, std::int64_t index, std::size_t tokens) {
  std::vector<std::int32_t> read(tokens);
  source.read(index, read, {});
  return {read.begin(), read.end()};
}

DataConfig data_of(const std::filesystem::path& train, const std::filesystem::path& valid = {},
                   DataFormat format = DataFormat::kAuto) {
  DataConfig data;
  data.train = train;
  data.valid = valid;
  data.format = format;
  return data;
}

std::string refusal(const DataConfig& data, Split split, std::int64_t sequence) {
  return bad_input([&] { make_token_source(data, split, sequence, kVocab, kSeed); });
}

TEST(TokenSourceTest, IsMathsProblemsWithoutAPath) {
  const auto source = make_token_source({}, Split::kTrain, 200, kVocab, kSeed);
  EXPECT_EQ(source->sequences(), -1);
  EXPECT_EQ(source->vocab(), kVocab);
  EXPECT_THAT(read(*source, 3, 201), HasSubstr("?\n"));
  EXPECT_EQ(refusal(data_of("", "", DataFormat::kJsonl), Split::kTrain, 8),
            "data.train: is empty, must name a file where data.format is neither \"auto\" nor \"maths\"");
}

TEST(TokenSourceTest, ReadsValidationInTheFilesOrder) {
  const TemporaryFile file(".txt", "abcdefghi");
  const DataConfig data = data_of(file.path(), file.path());
  const auto valid = make_token_source(data, Split::kValidation, 4, kVocab, kSeed);
  EXPECT_EQ(valid->sequences(), 2);
  EXPECT_EQ(read(*valid, 0, 5), "abcde");
  EXPECT_EQ(read(*valid, 1, 5), "efghi");
  EXPECT_EQ(make_token_source(data, Split::kTrain, 4, kVocab, kSeed)->sequences(), 2);
}

TEST(TokenSourceTest, HoldsOutTheEndOfALoneTrainingFile) {
  std::string text;
  for (int i = 0; i < 401; ++i) text += static_cast<char>('0' + i % 10);
  const TemporaryFile file(".txt", text + "-last");
  const DataConfig data = data_of(file.path());
  // 406 bytes are 40 windows of 10 and a label; a twentieth of them is two.
  const auto train = make_token_source(data, Split::kTrain, 10, kVocab, kSeed);
  const auto valid = make_token_source(data, Split::kValidation, 10, kVocab, kSeed);
  EXPECT_EQ(train->sequences(), 38);
  EXPECT_EQ(valid->sequences(), 2);
  EXPECT_EQ(read(*valid, 1, 11), text.substr(390, 11));
}

TEST(TokenSourceTest, TellsFormatsByTheirSuffix) {
  const TemporaryFile lines(".jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n");
  const TemporaryFile tokens(".bin", std::string_view("h\0i\0!\0", 6));
  const DataConfig data = data_of(lines.path(), tokens.path());
  EXPECT_EQ(read(*make_token_source(data, Split::kTrain, 2, kVocab, kSeed), 0, 3), "q\na");
  EXPECT_EQ(read(*make_token_source(data, Split::kValidation, 2, kVocab, kSeed), 0, 3), "hi!");
  const DataConfig as_text = data_of(lines.path(), tokens.path(), DataFormat::kText);
  EXPECT_EQ(make_token_source(as_text, Split::kTrain, 2, kVocab, kSeed)->sequences(), 16);  // of 33 bytes
}

TEST(TokenSourceTest, RefusesFilesThatAreTooShort) {
  const TemporaryFile file(".txt", "abcdefgh");
  EXPECT_EQ(refusal(data_of(file.path(), file.path()), Split::kTrain, 8),
            file.name() + ": has 8 tokens, must have at least 9, one sequence and a label");
  EXPECT_THAT(refusal(data_of(file.path()), Split::kTrain, 4),
              StartsWith(file.name() + ": has 8 tokens, must have at least 9 where no validation file is given"));
}

TEST(TokenSourceTest, RefusesAPathForTheMathsProblems) {
  EXPECT_EQ(refusal(data_of("x.txt", "", DataFormat::kMaths), Split::kTrain, 4),
            "data.format: is \"maths\", which reads no file, but x.txt is given");
}

TEST(TokenSourceTest, RefusesSequencesOfNoTokens) {
  EXPECT_EQ(refusal({}, Split::kTrain, 0), "data: a sequence has 0 tokens, must have at least 1");
}

TEST(TokenSourceTest, ReadsGsm8k) {
  const auto path = std::filesystem::path(COE_SOURCE_DIR) / "../shared/data/gsm8k/train.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "GSM8K is not beside the checkout: " << path;
  const DataConfig data = data_of(path);
  const auto train = make_token_source(data, Split::kTrain, 256, kVocab, kSeed);
  const auto valid = make_token_source(data, Split::kValidation, 256, kVocab, kSeed);
  // 7473 documents of some 540 bytes.
  EXPECT_GT(train->sequences() + valid->sequences(), 12'000);
  EXPECT_LT(train->sequences() + valid->sequences(), 18'000);
  const DataConfig own = data_of(path, path);
  EXPECT_THAT(read(*make_token_source(own, Split::kValidation, 256, kVocab, kSeed), 0, 257),
              StartsWith("Natalia sold clips to 48 of her friends in April"));
}

}  // namespace

}  // namespace coe
