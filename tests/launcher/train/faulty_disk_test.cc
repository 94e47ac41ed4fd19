#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "launcher/train/run_lock.h"
#include "runtime/training/checkpoint_directory.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Every how manieth call goes wrong: COE_EVERY_CALL=1 takes them all, as tests/checkpoints.sh does.
int stride(int quick) {
  const char* every = std::getenv("COE_EVERY_CALL");
  return every == nullptr ? quick : std::max(1, std::atoi(every));
}

/// A run of one checkpoint a step, always resumed, beside the same run undisturbed; its disk is tests/faulty_disk.cc.
class FaultyDisk : public ::testing::Test {
 protected:
  struct Call {
    int number = 0;
    std::string name, path, renamed_to;
  };

  FaultyDisk() {
    scratch_.write("config.toml", kTinyConfig);
    scratch_.write("tools/empty", "");
  }

  std::vector<std::string> arguments(const std::string& out, std::int64_t steps) const {
    return {"train",
            "config.toml",
            "--out",
            out,
            "--resume=auto",
            "--set",
            fmt::format("training.steps={}", steps),
            "--set",
            "output.checkpoint_every=1",
            "--set",
            "validation.every=0",
            "--set",
            "validation.sequences=1"};
  }

  /// Trains the undisturbed run, in which every checkpoint is kept.
  void train_undisturbed(std::int64_t steps) {
    std::vector<std::string> all = arguments("whole", steps);
    all.insert(all.end(), {"--set", "output.checkpoints_kept=1000"});
    ASSERT_EQ(run_program(scratch_, all, ranks_).code, 0);
  }

  /// Resumes the run for one step more; the call of that number goes wrong, none where it is 0.
  Outcome train(std::int64_t steps, const std::string& fault = "", int at = 0, int rank = 0) {
    fs::remove(scratch_ / "calls.txt");
    return Program(scratch_, arguments("run", steps), ranks_,
                   {{"LD_PRELOAD", COE_FAULTY_DISK},
                    {"PATH", ranks_ > 0 ? std::getenv("PATH") : (scratch_ / "tools").string()},  // no gnuplot: faster
                    {"COE_FAULT_FOLDER", watched_.empty() ? checkpoints().string() : watched_.string()},
                    {"COE_FAULT_LOG", (scratch_ / "calls.txt").string()},
                    {"COE_FAULT_AT", std::to_string(at)},
                    {"COE_FAULT", fault},
                    {"COE_FAULT_RANK", ranks_ > 0 ? std::to_string(rank) : ""}})
        .wait();
  }

  fs::path checkpoints() const { return fs::canonical(scratch_.path()) / "run/checkpoints"; }

  std::vector<Call> calls() const {
    std::vector<Call> list;
    std::istringstream lines(read_text(scratch_ / "calls.txt"));
    for (std::string line; std::getline(lines, line);) {
      Call call;
      std::istringstream(line) >> call.number >> call.name >> call.path >> call.renamed_to;
      list.push_back(call);
    }
    return list;
  }

  bool committed(std::int64_t step) const {
    const std::string place = checkpoint_path(checkpoints(), step).string();
    return std::ranges::any_of(calls(), [&](const Call& call) { return call.renamed_to == place; });
  }

  /// A file's bytes, but for what the manifest keeps of how long its run is to be.
  static std::string weights_of(const fs::path& file) {
    static const std::regex kLength(R"("training.steps":"[0-9]+",|,"checksum":"[0-9a-f]+")");
    return file.extension() == ".json" ? std::regex_replace(read_text(file), kLength, "") : read_text(file);
  }

  /// The step of the newest checkpoint, which must have the bits of the undisturbed one; 0 where there is none.
  std::int64_t newest_step() const {
    const auto newest = newest_checkpoint(scratch_ / "run");
    if (!newest) return 0;
    const fs::path undisturbed = scratch_ / "whole/checkpoints" / newest->filename();
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(undisturbed)) {
      EXPECT_TRUE(weights_of(*newest / entry.path().filename()) == weights_of(entry.path())) << *newest;
      ++files;
    }
    EXPECT_EQ(files, static_cast<std::size_t>(std::distance(fs::directory_iterator(*newest), {}))) << *newest;
    return std::stoll(newest->filename().string().substr(5));
  }

  Scratch scratch_;
  fs::path watched_;  ///< the checkpoints' folder where it is empty
  int ranks_ = 0;
};

class Killed : public FaultyDisk {
 protected:
  /// Trains one step more, during which a rank is killed at its call of that number. True where it was.
  bool kill_at(const std::string& fault, int call, std::int64_t& step, int rank = 0) {
    SCOPED_TRACE(fmt::format("{} call {} of rank {} in the save of step {}", fault, call, rank, step + 1));
    const Outcome outcome = train(step + 1, fault, call, rank);
    const bool resumed = outcome.err.find(fmt::format("going on after step {}\n", step)) != std::string::npos;
    EXPECT_TRUE(resumed || step == 0 || outcome.code != 0) << outcome.err;
    const std::int64_t newest = newest_step();
    EXPECT_EQ(newest, committed(step + 1) ? step + 1 : step);
    step = newest;
    return outcome.code != 0;
  }
};

class KilledAlone : public Killed, public ::testing::WithParamInterface<std::string> {};

TEST_P(KilledAlone, ASaveLeavesTheOldCheckpointOrTheNewOne) {
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(80));
  ASSERT_EQ(train(2).code, 0);
  const int count = calls().back().number / 2;
  std::int64_t step = newest_step();
  ASSERT_EQ(step, 2);
  int killed = 0;
  // The last dozen calls of a save are no writes; behind those, what earlier kills left to be removed.
  const int last = GetParam() == "kill_midway" ? count - 12 : count + 20;
  for (int call = 1; call <= last && !HasFailure(); ++call) killed += kill_at(GetParam(), call, step) ? 1 : 0;
  EXPECT_GE(killed, 70) << "of " << count << " calls";
  fmt::print("{} times killed, {} checkpoints all the same\n", killed, step);
  ASSERT_EQ(train(step + 2).code, 0);
  EXPECT_EQ(newest_step(), step + 2);
}

const std::vector<std::string> kKills = {"kill_before", "kill_midway", "kill_after"};

INSTANTIATE_TEST_SUITE_P(FaultyDisk, KilledAlone, ::testing::ValuesIn(kKills),
                         [](const auto& fault) { return fault.param; });

TEST_F(Killed, UnderMpirunASaveLeavesTheOldCheckpointOrTheNewOne) {
  ranks_ = 2;
  const int calls_of_a_rank[] = {115, 45}, every = stride(45);
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(160 / every + 5));
  std::int64_t step = 0;
  std::size_t kind = 0;
  for (const int rank : {0, 1}) {
    for (int call = every; call <= calls_of_a_rank[rank] && !HasFailure(); call += every) {
      kill_at(kKills[kind++ % kKills.size()], call, step, rank);
    }
  }
  ASSERT_EQ(train(step + 1).code, 0);
  EXPECT_EQ(newest_step(), step + 1);
}

class Refused : public FaultyDisk, public ::testing::WithParamInterface<std::string> {};

TEST_P(Refused, ASaveFailsInOneLineAndLeavesTheOldCheckpoint) {
  const std::string reason = GetParam() == "EIO" ? ": Input/output error" : ": No space left on device";
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(80));
  ASSERT_EQ(train(2).code, 0);
  const int count = calls().back().number / 2;
  std::int64_t step = newest_step();
  int refused = 0;
  for (int call = 1; call <= count && !HasFailure(); call += stride(3)) {
    const Outcome outcome = train(step + 1, GetParam(), call);
    SCOPED_TRACE(fmt::format("call {}: {}", call, outcome.err));
    const std::int64_t newest = newest_step();
    if (outcome.code == 0) {
      EXPECT_EQ(newest, step + 1) << "what it could not do was to remove old ones";
      step = newest;
      continue;
    }
    EXPECT_EQ(outcome.code, 1);
    ++refused;
    const std::size_t line = std::min(outcome.err.find("coe: "), outcome.err.size());
    EXPECT_THAT(outcome.err.substr(line), ::testing::AllOf(HasSubstr("run/checkpoints"), HasSubstr(reason)));
    EXPECT_EQ(outcome.err.find('\n', line) + 1, outcome.err.size());
    EXPECT_TRUE(newest == step || (newest == step + 1 && committed(newest))) << newest;
    step = newest;
  }
  EXPECT_GE(refused, count / stride(3) * 2 / 3) << "of " << count << " calls";
  ASSERT_EQ(train(step + 1).code, 0);
  EXPECT_EQ(newest_step(), step + 1);
}

INSTANTIATE_TEST_SUITE_P(FaultyDisk, Refused, ::testing::Values("EIO", "ENOSPC"),
                         [](const auto& fault) { return fault.param; });

TEST_F(FaultyDisk, AnOldCheckpointThatCannotBeRemovedIsSaidAndNoMore) {
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(4));
  ASSERT_EQ(train(2).code, 0);
  ASSERT_EQ(train(3).code, 0);
  int removal = 0;
  for (const Call& call : calls()) {
    if (removal == 0 && call.name == "unlink") removal = call.number;
  }
  ASSERT_GT(removal, 0);
  const Outcome outcome = train(4, "EIO", removal);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("an old checkpoint cannot be removed: Input/output error\n"));
  EXPECT_EQ(newest_step(), 4);
}

// Every call that waits for the disk, or opens a file there to read it, takes longer than ranks wait for one another.
TEST_F(FaultyDisk, OneSlowerThanTheDeadlineIsWaitedFor) {
  ranks_ = 2;
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(2));
  for (const std::int64_t step : {1, 2}) {
    std::vector<std::string> slow = arguments("run", step);
    slow.insert(slow.end(), {"--set", "distributed.deadline_seconds=2"});
    const Outcome outcome = Program(scratch_, slow, ranks_,
                                    {{"LD_PRELOAD", COE_FAULTY_DISK},
                                     {"COE_FAULT_FOLDER", checkpoints().string()},
                                     {"COE_FAULT_RANK", std::to_string(step - 1)},
                                     {"COE_FAULT_SLOW", "3000"}})
                                .wait();
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GT(outcome.seconds, 3);
    EXPECT_EQ(newest_step(), step);
  }
}

TEST_F(FaultyDisk, AShortWriteIsCompleted) {
  ASSERT_NO_FATAL_FAILURE(train_undisturbed(80));
  ASSERT_EQ(train(2).code, 0);
  std::vector<Call> seen = calls();
  seen.erase(seen.begin(), seen.begin() + std::ssize(seen) / 2);
  std::int64_t step = 2;
  const int first = seen.front().number - 1;
  for (std::size_t i = 0; i < seen.size() && !HasFailure(); i += static_cast<std::size_t>(stride(5))) {
    if (seen[i].name != "write") continue;
    ASSERT_EQ(train(++step, "short", seen[i].number - first).code, 0);
    EXPECT_EQ(newest_step(), step);
  }
  EXPECT_GT(step, 10);
}

/// What must be on the disk before what follows may rely on it.
TEST_F(FaultyDisk, EverythingIsSyncedBeforeItIsReliedUpon) {
  watched_ = fs::canonical(scratch_.path());
  ASSERT_EQ(train(4).code, 0);
  std::set<std::string> dirty_files, dirty_folders;
  int commits = 0, removals = 0;
  for (const Call& call : calls()) {
    const fs::path path = call.path;
    if (call.name == "write" && call.path.starts_with(checkpoints().string())) dirty_files.insert(path);
    if (call.name == "mkdir" && path.parent_path().filename() != "flight") dirty_folders.insert(path.parent_path());
    if (call.name == "fsync") {
      dirty_files.erase(path);
      dirty_folders.erase(path);
    }
    if (call.name == "unlink") {
      ++removals;
      EXPECT_FALSE(dirty_folders.contains(checkpoints())) << "an old checkpoint goes before the new one is safe";
    }
    if (call.name != "rename") continue;
    EXPECT_THAT(dirty_files, ::testing::IsEmpty()) << "before " << call.renamed_to;
    const bool commit = fs::path(call.renamed_to).parent_path() == checkpoints() && path.extension() == ".unfinished";
    if (commit) {
      ++commits;
      EXPECT_FALSE(dirty_folders.contains(path)) << "before " << call.renamed_to;
    }
    if (commit || fs::path(call.renamed_to).extension() != ".removed") {
      dirty_folders.insert(fs::path(call.renamed_to).parent_path());
    }
  }
  EXPECT_EQ(commits, 4);
  EXPECT_GT(removals, 0);
  EXPECT_THAT(dirty_folders, ::testing::IsEmpty());
}

/// Files that are there and cannot be read, on one of two ranks; the number of the error.
class Unreadable : public FaultyDisk, public ::testing::WithParamInterface<int> {
 protected:
  Outcome resume(const std::string& file, int rank) {
    return Program(scratch_, arguments("run", 3), ranks_,
                   {{"LD_PRELOAD", COE_FAULTY_DISK},
                    {"COE_FAULT_READ", file},
                    {"COE_FAULT_ERRNO", std::to_string(GetParam())},
                    {"COE_FAULT_RANK", ranks_ > 0 ? std::to_string(rank) : ""}})
        .wait();
  }

  void expect_no_damage(const std::string& file, int rank) {
    SCOPED_TRACE(file + " of rank " + std::to_string(rank));
    const Outcome outcome = resume(file, rank);
    EXPECT_EQ(outcome.code, 1);
    const std::size_t line = std::min(outcome.err.find("coe: "), outcome.err.size());
    EXPECT_THAT(outcome.err.substr(line), HasSubstr(file + ": cannot be read: " + std::strerror(GetParam())));
    EXPECT_EQ(outcome.err.find('\n', line) + 1, outcome.err.size()) << outcome.err;
    EXPECT_EQ(newest_step(), 2) << "a checkpoint that is whole was set aside";
  }
};

TEST_P(Unreadable, IsNotDamagedAndEndsTheRun) {
  for (const int ranks : {0, 2}) {
    ranks_ = ranks;
    fs::remove_all(scratch_ / "run");
    fs::remove_all(scratch_ / "whole");
    ASSERT_NO_FATAL_FAILURE(train_undisturbed(2));
    fs::copy(scratch_ / "whole", scratch_ / "run", fs::copy_options::recursive);
    expect_no_damage("step_00000002/replicated.safetensors", 0);
    expect_no_damage("step_00000002/manifest.json", 0);
    if (ranks == 2) expect_no_damage("step_00000002/experts_001.safetensors", 1);
    ASSERT_EQ(train(3).code, 0) << "nothing was wrong with it";
  }
}

TEST_P(Unreadable, ALockOfTheFolderIsNotTakenForAbsent) {
  LockHolder far = own_holder();
  far.place.boot = {"another"};
  const std::string reason = std::string("run/run.lock: cannot be read: ") + std::strerror(GetParam()) + '\n';
  for (const int ranks : {0, 2}) {
    ranks_ = ranks;
    scratch_.write("run/run.lock", lock_text(far));
    const Outcome outcome = resume("run/run.lock", 0);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.err, "coe: " + reason);
    EXPECT_EQ(read_text(scratch_ / "run/run.lock"), lock_text(far)) << "another's lock was written over";
  }
  fs::remove(scratch_ / "run/run.lock");
  const Outcome outcome = resume("run/run.lock", 1);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "coe: " + reason) << "of a rank that does not hold it";
}

INSTANTIATE_TEST_SUITE_P(FaultyDisk, Unreadable, ::testing::Values(EIO, ESTALE, EMFILE, EACCES),
                         [](const auto& error) { return std::string(strerrorname_np(error.param)); });

}  // namespace
}  // namespace coe
