#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>

#include "comm/make_transport.h"
#include "runtime/files/checksum.h"
#include "runtime/files/safetensors.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/placement.h"
#include "runtime/training/checkpoint.h"
#include "tests/ranks.h"
#include "tests/runtime/config/small_config.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int kRanks = 2;

/// How often one bit is flipped: COE_FLIPS, which tests/checkpoints.sh sets.
int flips() {
  const char* asked = std::getenv("COE_FLIPS");
  return asked == nullptr ? 1000 : std::atoi(asked);
}

Parameters make_parameters(const ModelConfig& model, int rank, int ranks) {
  const Placement placement(model.layer.experts, ranks);
  return Parameters(model_specs(model, placement.experts_of(rank)), true);
}

/// A number that tells the generation, so that loading the wrong one is seen.
float number_of(std::int64_t step, std::size_t i) { return static_cast<float>(step) + 1e-3F * static_cast<float>(i); }

void fill(Parameters& parameters, std::int64_t step) {
  for (const Parameter& parameter : parameters.all()) {
    for (const Tensor& tensor : {parameter.value, parameter.first_moment, parameter.second_moment}) {
      const auto numbers = tensor.span<float>();
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = number_of(step, i);
    }
  }
}

bool holds(const Parameters& parameters, std::int64_t step) {
  for (const Parameter& parameter : parameters.all()) {
    for (const Tensor& tensor : {parameter.value, parameter.first_moment, parameter.second_moment}) {
      const auto numbers = tensor.span<float>();
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (numbers[i] != number_of(step, i)) return false;
      }
    }
  }
  return true;
}

std::string read_bytes(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

/// Two checkpoints of two ranks, of which the newer one is damaged again and again.
class CheckpointDamage : public testing::Test {
 protected:
  CheckpointDamage() {
    if (ranks_are_processes()) return;
    for (const int step : {1, 2}) {
      run_local_ranks(kRanks, [&](Transport& world) {
        Parameters parameters = make_parameters(model_, world.rank(), kRanks);
        fill(parameters, step);
        save_checkpoint({scratch_.path(), 2}, {.step = step}, model_, parameters, {&world}, 0);
      });
    }
    for (const auto& entry : fs::directory_iterator(newest_)) files_[entry.path().filename()] = read_bytes(entry);
  }

  /// The tensor in whose data a byte lies, as messages name it; empty for a header or a manifest.
  std::string tensor_at(const std::string& file, std::size_t byte) const {
    if (!file.ends_with(".safetensors")) return "";
    const SafetensorsFile opened(newest_ / file);
    std::size_t end = files_.at(file).size();
    for (auto name = opened.names().rbegin(); name != opened.names().rend(); ++name) {
      end -= opened.tensor(*name).bytes();
      if (byte >= end) return "tensor \"" + *name + "\"";
    }
    return "";
  }

  /// Loads with one file of the newest checkpoint being `bytes`, then makes good the damage.
  void expect_caught(const std::string& file, const std::string& bytes, const std::string& tensor) {
    write_bytes(newest_ / file, bytes);
    run_local_ranks(kRanks, [&](Transport& world) {
      Parameters parameters = make_parameters(model_, world.rank(), kRanks);
      const auto found = load_checkpoint(scratch_.path(), Damaged::kSetAside, model_, parameters, {&world});
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(found->state.step, 1);
      EXPECT_TRUE(holds(parameters, 1)) << "weights of the damaged one are left";
      ASSERT_EQ(found->damage.size(), 1U);
      EXPECT_THAT(found->damage[0], testing::AllOf(HasSubstr((newest_ / file).string() + ": "), HasSubstr(tensor),
                                                   HasSubstr("set aside as step_00000002.damaged; going on with "
                                                             "step_00000001"),
                                                   testing::Not(HasSubstr("\n"))));
    });
    fs::rename(scratch_ / "step_00000002.damaged", newest_);
    write_bytes(newest_ / file, files_[file]);
  }

  const std::string& any_file() {
    auto file = files_.begin();
    std::advance(file, random_() % files_.size());
    return file->first;
  }

  ModelConfig model_ = parse_config(kSmallConfig, "x.toml").model;
  ScratchDirectory scratch_;
  fs::path newest_ = checkpoint_path(scratch_.path(), 2);
  std::map<std::string, std::string> files_;
  std::mt19937_64 random_{20251122};
};

TEST_F(CheckpointDamage, EveryFlippedBitIsCaughtAndThePreviousCheckpointUsed) {
  if (ranks_are_processes()) GTEST_SKIP() << "threads are enough";
  ASSERT_EQ(files_.size(), 4U);
  for (int flip = 0; flip < flips() && !HasFailure(); ++flip) {
    const std::string& file = any_file();
    std::string bytes = files_[file];
    const std::size_t bit = random_() % (8 * bytes.size());
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    SCOPED_TRACE(fmt::format("flip {}: bit {} of {}", flip, bit, file));
    expect_caught(file, bytes, tensor_at(file, bit / 8));
  }
}

TEST_F(CheckpointDamage, EveryTruncationIsCaughtAndThePreviousCheckpointUsed) {
  if (ranks_are_processes()) GTEST_SKIP() << "threads are enough";
  for (int cut = 0; cut < std::max(100, flips() / 10) && !HasFailure(); ++cut) {
    const std::string& file = any_file();
    const std::string& bytes = files_[file];
    const std::size_t size = random_() % bytes.size();
    SCOPED_TRACE(fmt::format("cut {}: {} bytes of {}", cut, size, file));
    expect_caught(file, bytes.substr(0, size), tensor_at(file, size));
  }
}

/// A measurement, not a test: tests/checkpoints.sh runs it.
TEST(CheckpointCost, DISABLED_ChecksumsTakeLessThanATenthOfASave) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  ModelConfig model = parse_config(kSmallConfig, "x.toml").model;
  model.hidden = model.layer.hidden = 1024;
  model.layer.expert_hidden = 1024;
  Parameters parameters = make_parameters(model, 0, 1);
  fill(parameters, 1);
  const auto world = make_transport("local");
  const ScratchDirectory scratch;
  double save = 0, sums = 0, bytes = 0;
  for (int round = 0; round < 5; ++round) {
    Clock::time_point start = Clock::now();
    save_checkpoint({scratch.path(), 2}, {.step = round}, model, parameters, {world.get()}, 0);
    save += seconds(start);
    start = Clock::now();
    std::uint64_t all = 0;
    for (const Parameter& parameter : parameters.all()) {
      for (const Tensor& tensor : {parameter.value, parameter.first_moment, parameter.second_moment}) {
        all ^= checksum_of({tensor.raw(), tensor.bytes()});
        bytes += static_cast<double>(tensor.bytes());
      }
    }
    sums += seconds(start);
    EXPECT_NE(all, 0U);
  }
  fmt::print("checksums: {:.0f} MB a save, {:.3f} s of {:.3f} s, {:.2f} % of a save ({:.1f} GB/s)\n", bytes / 5e6,
             sums / 5, save / 5, 100 * sums / save, bytes / sums / 1e9);
  EXPECT_LT(sums, 0.1 * save);
}

}  // namespace
}  // namespace coe
