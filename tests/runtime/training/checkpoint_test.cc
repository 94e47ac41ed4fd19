#include "runtime/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>

#include "comm/make_transport.h"
#include "kernels/memory/error.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/agree.h"
#include "runtime/ranks/placement.h"
#include "tests/ranks.h"
#include "tests/runtime/config/small_config.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr TrainingState kState{1000, 16000, 1e-8, 17};
constexpr Phase kPhase{.name = "a test"};

ModelConfig small_model() { return parse_config(kSmallConfig, "x.toml").model; }

/// This rank's parameters of a model whose experts are sharded over groups of `expert_parallel` ranks.
Parameters make_parameters(const ModelConfig& model, int rank, int expert_parallel, bool trained = true) {
  const Placement placement(model.layer.experts, expert_parallel);
  return Parameters(model_specs(model, placement.experts_of(rank % expert_parallel)), trained);
}

/// What element `i` of tensor `part` (value, first, second moment) of a parameter is before saving.
float number_of(const std::string& name, std::size_t part, std::size_t i) {
  return static_cast<float>(std::hash<std::string>{}(name) % 9973 * 3 + part) + 1e-3F * static_cast<float>(i);
}

std::array<Tensor, 3> kept_tensors(const Parameter& parameter) {
  return {parameter.value, parameter.first_moment, parameter.second_moment};
}

void fill(Parameters& parameters) {
  for (const Parameter& parameter : parameters.all()) {
    for (std::size_t part = 0; part < 3; ++part) {
      const auto numbers = kept_tensors(parameter)[part].span<float>();
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = number_of(parameter.name, part, i);
    }
  }
}

void expect_filled(const Parameters& parameters, std::size_t parts) {
  for (const Parameter& parameter : parameters.all()) {
    for (std::size_t part = 0; part < parts; ++part) {
      const auto numbers = kept_tensors(parameter)[part].span<float>();
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < numbers.size(); ++i) wrong += numbers[i] != number_of(parameter.name, part, i);
      EXPECT_EQ(wrong, 0U) << parameter.name << ", part " << part;
    }
  }
}

/// The directory of the group's first rank, on every rank.
fs::path shared_path(Transport& transport, const ScratchDirectory& scratch) {
  return agree({&transport}, kPhase, [&] { return scratch.path().string(); }).front();
}

void save(Transport& transport, const fs::path& directory, int expert_parallel = 0, TrainingState state = kState) {
  const int group = expert_parallel == 0 ? transport.size() : expert_parallel;
  Parameters parameters = make_parameters(small_model(), transport.rank(), group);
  fill(parameters);
  save_checkpoint({directory, 2}, state, small_model(), parameters, {&transport}, expert_parallel);
}

/// What the newest checkpoint of `place` was saved with; it must not be damaged.
TrainingState load(Transport& transport, const fs::path& place, Parameters& parameters) {
  const auto found = load_checkpoint(place, Damaged::kLeave, small_model(), parameters, {&transport});
  EXPECT_TRUE(found.has_value());
  if (!found) return {};
  EXPECT_THAT(found->damage, testing::IsEmpty());
  return found->state;
}

/// The message with which loading ends; it must be the same on every rank.
std::string load_refusal(Transport& transport, const fs::path& checkpoint, const ModelConfig& model) {
  Parameters parameters = make_parameters(model, transport.rank(), transport.size());
  try {
    load_checkpoint(checkpoint, Damaged::kLeave, model, parameters, {&transport});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing was thrown";
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

TEST(CheckpointOnRanks, AnyNumberOfRanksReadsWhatAnyOtherWrote) {
  for (const int writers : {1, 2, 4, 7}) {
    const ScratchDirectory scratch;
    on_ranks(writers, [&](Transport& transport) { save(transport, shared_path(transport, scratch)); });
    for_each_ranks([&](Transport& transport) {
      const fs::path directory = shared_path(transport, scratch);
      if (!newest_checkpoint(directory)) return;  // fewer processes than there should be writers
      Parameters parameters = make_parameters(small_model(), transport.rank(), transport.size());
      EXPECT_EQ(load(transport, directory, parameters), kState);
      expect_filled(parameters, 3);
    });
  }
}

TEST(CheckpointOnRanks, ReplicasWriteNothing) {
  const ScratchDirectory scratch;
  on_ranks(4, [&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    save(transport, directory, 2);
    EXPECT_THAT(names_in(checkpoint_path(directory, 1000)),
                testing::UnorderedElementsAre("replicated.safetensors", "experts_000.safetensors",
                                              "experts_001.safetensors", "manifest.json"));
  });
  for_each_ranks([&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    if (!newest_checkpoint(directory)) return;  // fewer processes than there should be writers
    Parameters parameters = make_parameters(small_model(), transport.rank(), transport.size());
    load(transport, directory, parameters);
    expect_filled(parameters, 3);
  });
}

TEST(CheckpointOnRanks, WithoutTrainingOnlyValuesAreRead) {
  const ScratchDirectory scratch;
  on_ranks(2, [&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    save(transport, directory);
    Parameters parameters = make_parameters(small_model(), transport.rank(), 2, false);
    load(transport, directory, parameters);
    expect_filled(parameters, 1);
  });
}

TEST(CheckpointOnRanks, KeepsSoManyAsAskedFor) {
  const ScratchDirectory scratch;
  on_ranks(2, [&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    for (const int step : {1, 2, 3}) save(transport, directory, 0, {.step = step});
    EXPECT_THAT(names_in(directory), testing::UnorderedElementsAre("step_00000002", "step_00000003"));
  });
}

TEST(CheckpointOnRanks, AnotherModelIsRefusedOnEveryRank) {
  const ScratchDirectory scratch;
  on_ranks(2, [&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    save(transport, directory);
    ModelConfig model = small_model();
    model.layer.experts = 6;
    const std::string message = load_refusal(transport, checkpoint_path(directory, 1000), model);
    EXPECT_THAT(message, HasSubstr("step_00001000: is of another model: layer.experts is 5 there, must be 6"));
  });
}

TEST(CheckpointOnRanks, AFlippedBitIsFoundAndItsFileNamedOnEveryRank) {
  for (const std::string file : {"replicated.safetensors", "experts_001.safetensors"}) {
    const ScratchDirectory scratch;
    on_ranks(2, [&](Transport& transport) {
      const fs::path checkpoint = checkpoint_path(shared_path(transport, scratch), 1000);
      save(transport, checkpoint.parent_path());
      agree({&transport}, kPhase, [&] {
        if (transport.rank() != 0) return "";
        std::fstream bytes(checkpoint / file, std::ios::in | std::ios::out | std::ios::binary);
        bytes.seekg(-5, std::ios::end);
        const int byte = bytes.get();
        bytes.seekp(-5, std::ios::end);
        bytes.put(static_cast<char>(byte ^ 16));
        return "";
      });
      EXPECT_THAT(load_refusal(transport, checkpoint, small_model()),
                  testing::MatchesRegex("damaged checkpoint: .*" + file + ": tensor \".*\" is damaged: .*"));
    });
  }
}

TEST(CheckpointOnRanks, FilesThatAreCutOrMissingAreNamed) {
  const ScratchDirectory scratch;
  on_ranks(2, [&](Transport& transport) {
    const fs::path checkpoint = checkpoint_path(shared_path(transport, scratch), 1000);
    save(transport, checkpoint.parent_path());
    const auto break_and_load = [&](const std::function<void()>& damage) {
      agree({&transport}, kPhase, [&] {
        if (transport.rank() == 0) damage();
        return "";
      });
      return load_refusal(transport, checkpoint, small_model());
    };
    EXPECT_THAT(break_and_load([&] { fs::resize_file(checkpoint / "experts_000.safetensors", 100); }),
                HasSubstr("experts_000.safetensors: safetensors header has"));
    EXPECT_THAT(break_and_load([&] { fs::remove(checkpoint / "experts_000.safetensors"); }),
                HasSubstr("experts_000.safetensors: cannot be read: No such file"));
    EXPECT_THAT(break_and_load([&] { std::ofstream(checkpoint / "manifest.json") << "{}"; }),
                HasSubstr("manifest.json: does not end with the checksum of its text"));
    EXPECT_EQ(break_and_load([&] { fs::remove(checkpoint / "manifest.json"); }), "nothing was thrown");
  });
}

TEST(CheckpointOnRanks, APlaceThatCannotBeWrittenIsOneErrorOnEveryRank) {
  const ScratchDirectory scratch;
  for_each_ranks([&](Transport& transport) {
    const fs::path directory = shared_path(transport, scratch);
    agree({&transport}, kPhase, [&] {
      if (transport.rank() == 0) std::ofstream(directory / "file") << "";
      return "";
    });
    try {
      save(transport, directory / "file/checkpoints");
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSystem);
      EXPECT_THAT(error.what(), HasSubstr("/file: cannot be made a folder: File exists"));
    }
    barrier({&transport}, kPhase);
    EXPECT_THAT(names_in(directory), testing::ElementsAre("file"));
  });
}

/// Saves one checkpoint after the other until it is killed.
[[noreturn]] void save_forever(const fs::path& directory) {
  const std::unique_ptr<Transport> alone = make_transport("local");
  for (std::int64_t step = 1;; ++step) save(*alone, directory, 0, {.step = step / 2});  // each step is saved twice
}

TEST(Checkpoint, AKillAtAnyMomentLeavesACompleteOne) {
  if (ranks_are_processes()) GTEST_SKIP() << "a process of an MPI job must not fork";
  const ScratchDirectory scratch;
  for (int kill_after = 60; kill_after < 90; kill_after += 3) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_forever(scratch.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(kill_after));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const auto newest = newest_checkpoint(scratch.path());
    if (!newest) continue;  // a slow machine: killed before the first was done
    const std::unique_ptr<Transport> alone = make_transport("local");
    Parameters parameters = make_parameters(small_model(), 0, 1);
    load(*alone, *newest, parameters);
    expect_filled(parameters, 3);
  }
  EXPECT_TRUE(newest_checkpoint(scratch.path()).has_value());
}

}  // namespace
}  // namespace coe
