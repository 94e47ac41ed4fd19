#include "runtime/data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "comm/make_transport.h"
#include "tests/bad_input.h"
#include "tests/largest_allocation.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {
namespace {

constexpr std::int64_t kSequence = 8, kVocab = 256;

DataConfig data_of(const std::filesystem::path& train, const std::filesystem::path& valid = {}) {
  DataConfig data;
  data.train = train;
  data.valid = valid;
  return data;
}

std::string read(const TokenSource& source, std::int64_t index) {
  std::vector<std::int32_t> tokens(kSequence + 1);
  source.read(index, tokens, {});
  return {tokens.begin(), tokens.end()};
}

TEST(Corpus, SaysWhatASplitIs) {
  EXPECT_EQ(Corpus({}, 1, kVocab, 1).description(Split::kValidation), "the built-in maths problems");
  const Corpus alone(data_of("a.txt"), 1, kVocab, 1), both(data_of("a.txt", "b.txt"), 1, kVocab, 1);
  EXPECT_EQ(alone.description(Split::kTrain), "a.txt");
  EXPECT_EQ(alone.description(Split::kValidation), "the last twentieth of a.txt");
  EXPECT_EQ(both.description(Split::kValidation), "b.txt");
  EXPECT_EQ(Corpus(data_of("", "b.txt"), 1, kVocab, 1).description(Split::kValidation), "b.txt");
}

TEST(Corpus, OpensOnlyWhatItIsAskedFor) {
  const TemporaryFile file(".txt", "abcdefghijklmnopqrstuvwxyz");
  Corpus corpus(data_of("missing.txt", file.path()), kSequence, kVocab, 1);
  corpus.open(Split::kValidation);
  EXPECT_EQ(read(*corpus.source(Split::kValidation), 1), "ijklmnopq");
  EXPECT_THAT(bad_input([&] { corpus.open(Split::kTrain); }), testing::StartsWith("missing.txt: cannot be read"));
}

TEST(Corpus, SourcesOutliveIt) {
  const TemporaryFile file(".txt", std::string(200, 'x') + "validation and a byte");
  std::unique_ptr<TokenSource> source;
  {
    Corpus corpus(data_of(file.path()), kSequence, kVocab, 1);
    corpus.open(Split::kTrain);
    source = corpus.source(Split::kValidation);
  }
  // 221 bytes are 27 windows of 8, of which the last, a twentieth, begins at byte 208.
  EXPECT_EQ(read(*source, 0), "on and a ");
}

/// What is refused about a file with `suffix` of which `data` asks too much; its name is "FILE".
std::string refusal(const std::string& suffix, DataConfig data) {
  const TemporaryFile file(suffix, std::string(200, '\1'));
  data.train = file.path();
  std::string message = bad_input([&] { Corpus(data, kSequence, kVocab, 1).open(Split::kTrain); });
  const std::size_t name = message.find(file.name());
  return name == std::string::npos ? message : message.replace(name, file.name().size(), "FILE");
}

TEST(Corpus, RefusesToTellApartWhatCannotBeTold) {
  DataConfig fields, documents;
  fields.loss_fields = {"answer"};
  documents.documents = Documents::kSeparate;
  EXPECT_EQ(refusal(".txt", fields), "data.loss_fields: is for JSONL, not for FILE");
  EXPECT_EQ(refusal(".bin", fields), "data.loss_fields: is for JSONL, not for FILE");
  EXPECT_EQ(refusal(".txt", documents),
            "data.documents: \"separate\" needs data.end_token, the byte that ends a document of FILE");
  EXPECT_EQ(refusal(".bin", documents),
            "data.documents: \"separate\" needs data.end_token, the token that ends a document of FILE");
  EXPECT_EQ(bad_input([&] { Corpus(fields, kSequence, kVocab, 1).open(Split::kTrain); }),
            "data.loss_fields: is for JSONL, not for the built-in maths problems");
  Corpus(documents, kSequence, kVocab, 1).open(Split::kTrain);
}

TEST(Corpus, AnEndTokenTellsDocumentsOfTextAndTokens) {
  DataConfig data;
  data.documents = Documents::kSeparate;
  data.end_token = ';';
  const TemporaryFile text(".txt", "ab;cd;efghij"), tokens(".bin", std::string_view("a\0;\0b\0c\0d\0e\0f\0g\0h\0", 18));
  data.train = text.path();
  data.valid = tokens.path();
  std::vector<std::int32_t> read(kSequence + 1);
  std::vector<std::uint8_t> marks(kSequence + 1);
  make_token_source(data, Split::kTrain, kSequence, kVocab, 1)->read(0, read, marks);
  EXPECT_THAT(marks, testing::ElementsAre(1, 0, 0, 1, 0, 0, 1, 0, 0));
  make_token_source(data, Split::kValidation, kSequence, kVocab, 1)->read(0, read, marks);
  EXPECT_THAT(marks, testing::ElementsAre(1, 0, 1, 0, 0, 0, 0, 0, 0));
}

/// More than is looked through at once.
constexpr std::int64_t kLarge = kLookedThrough + (std::int64_t{12} << 20);

/// A JSONL file of that size, of rows of about a kilobyte.
void write_large(const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary);
  const std::string filling(900, 'x');
  std::int64_t written = 0;
  for (int row = 0; written < kLarge; ++row) {
    const std::string line = "{\"text\": \"row " + std::to_string(row) + ' ' + filling + "\"}\n";
    file << line;
    written += static_cast<std::int64_t>(line.size());
  }
}

TEST(Corpus, ALargeFileIsNeverInMemoryAsAWhole) {
  const TemporaryFile file(".jsonl", "");
  write_large(file.path());
  DataConfig data = data_of(file.path());
  data.fields = {"text"};
  const LargestAllocation watch;
  Corpus corpus(data, kSequence, kVocab, 1);
  corpus.open(Split::kTrain);
  run_local_ranks(1, [&](Transport& alone) { corpus.complete({&alone}); });
  const auto source = corpus.source(Split::kValidation);
  EXPECT_THAT(read(*source, source->sequences() - 1), testing::EndsWith("xxx"));
  EXPECT_LT(watch.bytes(), std::size_t{2} << 20);
}

TEST(Corpus, RanksReadTheSameWindowsOfALargeFile) {
  const TemporaryFile file(".jsonl", "");
  write_large(file.path());
  DataConfig data = data_of(file.path());
  data.fields = {"text"};
  // Row n has 905 letters, those of n, and a blank line; the text ends without one.
  std::int64_t tokens = -2;
  for (std::int64_t row = 0, bytes = 0; bytes < kLarge; ++row) {
    const auto digits = static_cast<std::int64_t>(std::to_string(row).size());
    tokens += 905 + digits + 2;
    bytes += 905 + digits + 13;
  }
  for (const int ranks : {1, 3}) {
    run_local_ranks(ranks, [&](Transport& world) {
      Corpus corpus(data, kSequence, kVocab, 1);
      corpus.open(Split::kTrain);
      corpus.complete({&world});
      const auto train = corpus.source(Split::kTrain), valid = corpus.source(Split::kValidation);
      const std::int64_t windows = train->sequences() + valid->sequences();
      EXPECT_EQ(windows, (tokens - 1) / kSequence);
      EXPECT_EQ(valid->sequences(), windows / 20);
      EXPECT_THAT(read(*valid, valid->sequences() - 1), testing::EndsWith("xxx"));
    });
  }
}

}  // namespace
}  // namespace coe
