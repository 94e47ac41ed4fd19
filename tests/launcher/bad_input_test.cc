#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "comm/make_transport.h"
#include "runtime/files/safetensors.h"
#include "runtime/training/trainer.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// One call that must be refused: the arguments of `coe`, what its line must name, under how many ranks of mpirun.
struct Refusal {
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> named;
  int ranks = 0;
};

void PrintTo(const Refusal& refusal, std::ostream* stream) { *stream << refusal.name; }

/// `coe train config.toml` and more.
std::vector<std::string> train(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"train", "config.toml"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<std::string> set(const std::string& setting) { return train({"--set", setting}); }
std::vector<std::string> eval(const std::string& place) { return {"eval", "config.toml", "--checkpoint", place}; }
std::vector<std::string> generate(const std::string& option, const std::string& value) {
  return {"generate", "config.toml", "--checkpoint", "earlier", "--prompt", "2 + 2", option, value};
}

const std::string kBigNumber = "99999999999999999999999999";

const std::vector<Refusal> kCommandLines = {
    {"NoVerb", {}, {"verb", "train"}},
    {"UnknownVerb", {"trian", "config.toml"}, {"trian", "train"}},
    {"NoConfig", {"train"}, {"coe train CONFIG"}},
    {"TwoConfigs", train({"config.toml"}), {"coe train CONFIG"}},
    {"UnknownOption", train({"--resumee"}), {"--resumee"}},
    {"OptionWithoutValue", train({"--out"}), {"--out"}},
    {"OptionTwice", train({"--out", "a", "--out", "b"}), {"--out"}},
    {"SwitchWithAValue", train({"--resume=yes"}), {"--resume"}},
    {"TokensAreNoNumber", generate("--tokens", "many"), {"--tokens", "many"}},
    {"TokensBeyond64Bits", generate("--tokens", kBigNumber), {"--tokens", kBigNumber}},
    {"NegativeTokens", generate("--tokens", "-1"), {"--tokens", "-1"}},
    {"NegativeTemperature", generate("--temperature", "-0.5"), {"--temperature", "-0.5"}},
    {"EmptyPrompt", {"generate", "config.toml", "--checkpoint", "earlier", "--prompt", ""}, {"--prompt"}},
    {"NoPrompt", {"generate", "config.toml", "--checkpoint", "earlier"}, {"--prompt"}},
    {"NoCheckpoint", {"eval", "config.toml"}, {"--checkpoint"}},
    {"NothingToVerify", {"verify"}, {"coe verify CASE"}},
    {"VerifyOnNoRanks", {"verify", "tiny.safetensors", "--ranks", "0"}, {"--ranks", "0"}},
    {"VerifyOverNoTransport", {"verify", "tiny.safetensors", "--transport", "pigeon"}, {"pigeon", "local, mpi"}},
    {"VerifyWithoutTolerance", {"verify", "tiny.safetensors", "--tolerance", "0"}, {"--tolerance", "0"}},
    {"VerifyInNoOrder",
     {"verify", "tiny.safetensors", "--order", "fast"},
     {"--order", "\"exact\" or \"partial-sums\""}},
    {"BenchInNoOrder", {"bench", "layer", "--order", "fast"}, {"--order", "\"exact\" or \"partial-sums\""}},
    {"BenchOfNothing", {"bench"}, {"layer"}},
    {"BenchOfAnUnknownThing", {"bench", "layers"}, {"layers"}},
    {"CompareNothing", {"compare"}, {"coe compare RUN"}},
    {"CompareWhatIsNoRun", {"compare", "folder"}, {"folder", "holds no run"}},
    {"PlotWhatIsNoRun", {"plot", "folder", "--out", "loss.svg"}, {"folder", "holds no run"}},
    {"InspectNothingThere", {"inspect", "nowhere"}, {"nowhere"}},
    {"InspectAnUnknownKind", {"inspect", "short.txt"}, {"short.txt"}},
};

const std::vector<Refusal> kConfigs = {
    {"ConfigMissing", {"train", "nowhere.toml"}, {"nowhere.toml", "No such file"}},
    {"ConfigIsAFolder", {"train", "folder"}, {"folder", "not a regular file"}},
    {"ConfigIsAPipe", {"train", "pipe"}, {"pipe", "not a regular file"}},
    {"ConfigEmpty", {"train", "empty.txt"}, {"empty.txt", "is empty"}},
    {"ConfigOfComments", {"train", "comments.toml"}, {"comments.toml"}},
    {"ConfigMisspelt", {"train", "misspelt.toml"}, {"misspelt.toml:2"}},
    {"ConfigWithAKeyTwice", {"train", "twice.toml"}, {"twice.toml:3", "vocab"}},
    {"ConfigNotUtf8", {"train", "latin1.toml"}, {"latin1.toml:1"}},
    {"ConfigOfZeros", {"train", "zeros.bin"}, {"zeros.bin"}},
    {"ConfigNestedDeep", {"train", "deep.toml"}, {"deep.toml"}},
    {"ConfigWithEndlessKey", {"train", "dots.toml"}, {"dots.toml"}},
    {"ConfigTooLong", {"train", "long.toml"}, {"long.toml", "bytes"}},
    {"UnknownSection", {"train", "section.toml"}, {"section.toml:1", "modle", "model"}},
    {"KeyWithoutSection", {"train", "nosection.toml"}, {"nosection.toml:1", "vocab"}},
    {"UnknownKey", set("training.stepz=3"), {"stepz", "steps"}},
    {"KeyOfAnotherSection", set("model.top_k=3"), {"model.top_k", "layer.top_k"}},
    {"SettingWithoutValue", set("training.steps"), {"training.steps"}},
    {"SettingWithoutSection", set("steps=3"), {"steps=3"}},
    {"WrongType", set("training.steps=\"many\""), {"training.steps", "many"}},
    {"WordThatIsNone", set("layer.router=magic"), {"layer.router", "magic", "softmax_topk"}},
    {"NumberBeyond64Bits", set("training.steps=" + kBigNumber), {"training.steps", kBigNumber}},
    {"NegativeSteps", set("training.steps=-4"), {"steps", "-4"}},
    {"NotANumber", set("training.learning_rate=nan"), {"learning_rate", "nan"}},
    {"NoThreads", set("distributed.threads=0"), {"distributed.threads", "0"}},
    {"WithoutEnd", set("distributed.deadline_seconds=inf"), {"deadline_seconds", "inf"}},
    {"NegativeSeed", set("training.seed=-1"), {"training.seed", "-1"}},
    {"TopKAboveExperts", set("layer.top_k=5"), {"top_k", "5", "4"}},
    {"NoExperts", set("layer.experts=0"), {"experts", "0"}},
    {"AbsurdWidth", set("model.hidden=9223372036854775806"), {"model.hidden", "9223372036854775806"}},
    {"HeadsThatDoNotDivide", set("model.heads=3"), {"model.heads", "3", "16"}},
    {"MicroBatchThatDoesNotDivide", set("training.micro_batch=3"), {"micro_batch", "3", "4"}},
    {"VocabularyBelowBytes", set("model.vocab=100"), {"model.vocab", "100", "256"}},
    {"OneCheckpointKept", set("output.checkpoints_kept=1"), {"checkpoints_kept", "1", "2"}},
    {"NegativeCapacity",
     train({"--set", "layer.drop_policy=position", "--set", "layer.capacity_factor=-1"}),
     {"capacity_factor", "-1"}},
    {"CapacityWithoutPolicy", set("layer.capacity_factor=1.5"), {"capacity_factor", "drop_policy"}},
};

const std::vector<Refusal> kData = {
    {"MissingData", train({"--data", "nowhere.txt"}), {"nowhere.txt"}},
    {"EmptyData", train({"--data", "empty.txt"}), {"empty.txt"}},
    {"ShortData", train({"--data", "short.txt"}), {"short.txt", "33"}},
    {"DataIsAFolder", train({"--data", "folder"}), {"folder"}},
    {"DataIsAPipe", train({"--data", "pipe"}), {"pipe", "not a regular file"}},
    {"DataForMaths", train({"--data", "short.txt", "--set", "data.format=maths"}), {"data.train", "maths"}},
    {"FormatWithoutData", set("data.format=jsonl"), {"data.train"}},
    {"BrokenJsonl", train({"--data", "broken.jsonl"}), {"broken.jsonl:2"}},
    {"JsonlOfNumbers", train({"--data", "numbers.jsonl"}), {"numbers.jsonl:1", "object"}},
    {"JsonlWithoutTheField", train({"--data", "fields.jsonl"}), {"fields.jsonl:1", "answer"}},
    {"JsonlFieldIsNoText", train({"--data", "list.jsonl"}), {"list.jsonl:1", "question"}},
    {"JsonlNotUtf8", train({"--data", "latin1.jsonl"}), {"latin1.jsonl:1"}},
    {"JsonlNestedDeep", train({"--data", "deep.jsonl"}), {"deep.jsonl:1"}},
    {"JsonlOfBlankLines", train({"--data", "blank.jsonl"}), {"blank.jsonl", "no text"}},
    {"HalfAToken", train({"--data", "odd.bin"}), {"odd.bin", "two"}},
    {"TokenAboveTheVocabulary", train({"--data", "tokens.bin"}), {"tokens.bin", "65535", "256"}},
    {"TokensOf32BitsAs16", train({"--data", "wide.bin"}), {"wide.bin", "every other token", "tokens32"}},
    {"TokensOf16BitsForMore",
     train({"--data", "wide.bin", "--set", "model.vocab=128000"}),
     {"wide.bin", "128000", "tokens32"}},
    {"TextInUtf16", train({"--data", "utf16.txt"}), {"utf16.txt", "UTF-16LE"}},
    {"JsonlInUtf16", train({"--data", "utf16.jsonl"}), {"utf16.jsonl", "UTF-16LE"}},
    {"CompressedText", train({"--data", "gzip.txt"}), {"gzip.txt", "gzip"}},
    {"JsonlFieldIsNull", train({"--data", "null.jsonl"}), {"null.jsonl:1", "\"answer\" is null"}},
    {"LossFieldsOfText",
     train({"--data", "short.txt", "--set", "data.loss_fields=[\"answer\"]"}),
     {"data.loss_fields", "JSONL"}},
    {"SeparateDocumentsWithoutEnd",
     train({"--data", "short.txt", "--set", "data.documents=separate"}),
     {"data.documents", "data.end_token"}},
    {"ShortValidation", train({"--valid", "short.txt"}), {"short.txt", "33"}},
};

const std::vector<Refusal> kPlaces = {
    {"OutIsAFile", train({"--out", "short.txt"}), {"short.txt", "is no folder"}},
    {"OutCannotBeWritten", train({"--out", "/proc/coe/run"}), {"/proc/coe/run"}},
    {"OutIsEmpty", train({"--out", ""}), {"output.directory"}},
    {"RunInTheWay", train({"--out", "earlier"}), {"earlier", "--resume"}},
    {"NothingToResume", train({"--out", "mistpyed", "--resume"}), {"mistpyed", "no checkpoint", "--resume=auto"}},
    {"CheckpointMissing", eval("nowhere"), {"nowhere", "no complete checkpoint"}},
    {"CheckpointIsAFile", eval("short.txt"), {"short.txt", "no complete checkpoint"}},
    {"CheckpointOfAnotherModel",
     {"eval", "config.toml", "--checkpoint", "earlier", "--set", "layer.experts=8"},
     {"layer.experts", "4", "8"}},
    {"ResumedAsAnotherModel",
     train({"--out", "earlier", "--resume", "--set", "layer.expert_hidden=4"}),
     {"layer.expert_hidden", "8", "4"}},
    {"ManifestCut", eval("manifest_cut"), {"manifest_cut/manifest.json"}},
    {"ManifestOfAnotherFormat", eval("manifest_old"), {"manifest_old/manifest.json", "format"}},
    {"ShardCut", eval("shard_cut"), {"shard_cut/replicated.safetensors: tensor \""}},
    {"ShardFlipped", eval("shard_flipped"), {"shard_flipped/replicated.safetensors: tensor \""}},
    {"ShardMissing", eval("shard_missing"), {"shard_missing/experts_000.safetensors"}},
};

const std::vector<Refusal> kCases = {
    {"CaseMissing", {"verify", "nowhere.safetensors"}, {"nowhere.safetensors"}},
    {"CaseIsNoSafetensors", {"verify", "short.txt"}, {"short.txt", "not a safetensors file"}},
    {"CaseCut", {"verify", "cut.safetensors"}, {"cut.safetensors"}},
    {"CaseWithoutMetadata", {"verify", "tiny.safetensors"}, {"tiny.safetensors", "format"}},
    {"CaseOfAnotherFormat", {"verify", "format.safetensors"}, {"format.safetensors", "coe-layer-case-9"}},
    {"CaseWithBrokenConfig", {"verify", "config.safetensors"}, {"config.safetensors", "JSON"}},
    {"CaseThatOverlaps", {"verify", "overlap.safetensors"}, {"overlap.safetensors", "\"b\"", "inside"}},
    {"CaseWithAHugeHeader", {"verify", "header.safetensors"}, {"header.safetensors", "header"}},
};

const std::vector<Refusal> kUnderMpirun = {
    {"NoExpertsOnRanks", set("layer.experts=0"), {"experts"}, 3},
    {"RanksThatDoNotFit", set("distributed.expert_parallel=2"), {"expert_parallel"}, 3},
    {"NothingToResumeOnRanks", train({"--out", "mistpyed", "--resume"}), {"mistpyed", "no checkpoint"}, 2},
    {"RunInTheWayOfRanks", train({"--out", "earlier"}), {"earlier", "--resume"}, 2},
    {"DamageOnRanks", eval("shard_flipped"), {"shard_flipped/replicated.safetensors: tensor \""}, 2},
    {"LocalRanksUnderMpirun", {"verify", "tiny.safetensors", "--transport", "local"}, {"local", "mpirun"}, 2},
    {"UnknownVerbOnRanks", {"trian"}, {"trian"}, 2},
};

std::vector<Refusal> refusals() {
  std::vector<Refusal> all;
  for (const auto& some : {kCommandLines, kConfigs, kData, kPlaces, kCases, kUnderMpirun}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string safetensors(const std::string& header, const std::string& data = "") {
  std::string length(8, '\0');
  for (std::size_t byte = 0; byte < 8; ++byte) length[byte] = static_cast<char>(header.size() >> (8 * byte));
  return length + header + data;
}

/// Files by name; the name says what is wrong.
std::map<std::string, std::string> inputs() {
  const std::string u8 = R"({"dtype":"U8","shape":[2],"data_offsets":)";
  return {
      {"config.toml", kTinyConfig},
      {"empty.txt", ""},
      {"short.txt", "too short"},
      {"folder/file", ""},
      {"comments.toml", "# nothing\n"},
      {"misspelt.toml", "[model]\nvocab = = 3\n"},
      {"twice.toml", "[model]\nvocab = 3\nvocab = 3\n"},
      {"latin1.toml", "# caf\xe9\n"},
      {"zeros.bin", std::string(4096, '\0')},
      {"deep.toml", "[model]\nvocab = " + std::string(20000, '[')},
      {"dots.toml", "[model" + repeated(".a", 25000) + "]\n"},
      {"long.toml", "# " + std::string(2'000'000, '.') + "\n"},
      {"section.toml", "[modle]\nvocab = 256\n"},
      {"nosection.toml", "vocab = 256\n"},
      {"broken.jsonl", "{\"question\": \"2 + 2?\", \"answer\": \"4\"}\n{\"question\":\n"},
      {"numbers.jsonl", "17\n"},
      {"fields.jsonl", "{\"question\": \"2 + 2?\"}\n"},
      {"list.jsonl", "{\"question\": [], \"answer\": \"4\"}\n"},
      {"latin1.jsonl", "{\"question\": \"caf\xe9\", \"answer\": \"4\"}\n"},
      {"deep.jsonl", std::string(100000, '[') + "\n"},
      {"blank.jsonl", "\n \n"},
      {"odd.bin", std::string(201, '\0')},
      {"tokens.bin", std::string(200, '\xff')},
      {"wide.bin", repeated(std::string("\x07\0\0\0", 4), 100)},
      {"utf16.txt", "\xff\xfe" + repeated(std::string("a\0", 2), 100)},
      {"utf16.jsonl", "\xff\xfe" + repeated(std::string("{\0", 2), 100)},
      {"gzip.txt", "\x1f\x8b\x08" + std::string(100, 'x')},
      {"null.jsonl", "{\"question\": \"2 + 2?\", \"answer\": null}\n"},
      {"tiny.safetensors", safetensors("{}")},
      {"cut.safetensors", safetensors(R"({"a":)" + u8 + "[0,2]}}", "1")},
      {"format.safetensors", safetensors(R"({"__metadata__":{"format":"coe-layer-case-9"}})")},
      {"config.safetensors", safetensors(R"({"__metadata__":{"format":"coe-layer-case-1","config":"{"}})")},
      {"overlap.safetensors", safetensors(R"({"a":)" + u8 + R"([0,2]},"b":)" + u8 + "[1,3]}}", "123")},
      {"header.safetensors", std::string(8, '\x7f') + "{}"},
  };
}

/// Making checkpoints takes longer than all else.
bool names_checkpoint(const std::vector<std::string>& arguments) {
  return std::ranges::any_of(arguments, [](const std::string& argument) {
    return argument == "earlier" || argument.starts_with("shard_") || argument.starts_with("manifest_");
  });
}

/// A run with one checkpoint, and copies of that with something broken in each.
void write_checkpoints(const Scratch& scratch) {
  Config config = parse_config(kTinyConfig, "tiny");
  config.output.directory = scratch / "earlier";
  const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
  const auto world = make_transport("local");
  const std::filesystem::path whole = Trainer(config, *world, *source, *source).save();
  scratch.write("earlier/config.toml", kTinyConfig);
  const auto copy = [&](const std::string& name) {
    std::filesystem::copy(whole, scratch / name);
    return scratch / name;
  };
  const std::string manifest = read_text(whole / "manifest.json"), shard = read_text(whole / "replicated.safetensors");
  copy("manifest_cut");
  scratch.write("manifest_cut/manifest.json", manifest.substr(0, manifest.size() / 2));
  copy("manifest_old");
  scratch.write("manifest_old/manifest.json", R"({"format":"coe-checkpoint-1"})");
  copy("shard_cut");
  scratch.write("shard_cut/replicated.safetensors", shard.substr(0, shard.size() - 3));
  std::string flipped = shard;
  flipped.back() ^= 1;
  copy("shard_flipped");
  scratch.write("shard_flipped/replicated.safetensors", flipped);
  std::filesystem::remove(copy("shard_missing") / "experts_000.safetensors");
}

/// Everything below the folder, each file with its bytes.
std::map<std::string, std::string> contents_of(const Scratch& scratch) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path())) {
    const std::string name = entry.path().lexically_relative(scratch.path());
    if (name == "stdout.txt" || name == "stderr.txt") continue;
    contents[name] = entry.is_regular_file() ? read_text(entry.path()) : "";
  }
  return contents;
}

class BadInput : public ::testing::TestWithParam<Refusal> {};

TEST_P(BadInput, IsOneLineExitCodeTwoAndNothingWritten) {
  const Scratch scratch;
  for (const auto& [name, text] : inputs()) scratch.write(name, text);
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  if (names_checkpoint(GetParam().arguments)) write_checkpoints(scratch);
  const auto before = contents_of(scratch);

  const Outcome outcome = run_program(scratch, GetParam().arguments, GetParam().ranks);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_LT(outcome.err.size(), 1000U) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::StartsWith("coe: "));
  for (const std::string& named : GetParam().named) EXPECT_THAT(outcome.err, HasSubstr(named));
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(contents_of(scratch), before);
  // mpirun takes a second of its own to start and another to end.
  EXPECT_LT(outcome.seconds, GetParam().ranks == 0 ? 1.0 : 5.0);
}

INSTANTIATE_TEST_SUITE_P(Coe, BadInput, ::testing::ValuesIn(refusals()),
                         [](const auto& refusal) { return refusal.param.name; });

}  // namespace
}  // namespace coe
