#include "launcher/train/run_folder.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

#include "comm/flight_recorder.h"
#include "comm/rank_place.h"
#include "kernels/memory/error.h"
#include "launcher/tell.h"
#include "runtime/files/durable_file.h"
#include "runtime/ranks/agree.h"
#include "runtime/training/checkpoint_directory.h"

namespace coe {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Phase kOpening{.name = "opening the run's folder"};

/// What one machine writes, others see when their caches have been asked again.
constexpr auto kSharedBy = 5s;

/// A lock of which nothing is known is watched for some seconds, by rank 0 alone.
Group patient(Transport& world) { return {&world, std::max(world.deadline(), kDefaultDeadline)}; }

/// The topmost folder that must be made for `folder`; empty where it is there.
fs::path topmost_missing(const fs::path& folder) {
  fs::path missing, at = fs::absolute(folder).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  std::error_code ignored;
  for (; !fs::exists(at, ignored) && at != at.root_path(); at = at.parent_path()) missing = at;
  return missing;
}

/// Removes empty folders from `folder` up to `topmost`.
void remove_empty(const fs::path& folder, const fs::path& topmost) {
  if (topmost.empty()) return;
  fs::path at = fs::absolute(folder).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  std::error_code error;
  while (fs::remove(at, error) && at != topmost) at = at.parent_path();
}

/// A folder that is listed is one whose cached contents are asked for again.
void look_again(const fs::path& folder) {
  std::error_code ignored;
  for (fs::path at = fs::absolute(folder); at != at.root_path(); at = at.parent_path())
    for (fs::directory_iterator entry(at, ignored), end; !ignored && entry != end; entry.increment(ignored)) break;
}

/// Throws kSystem where the lock still cannot be read when the time is up.
bool sees_lock(const fs::path& folder, const std::string& generation) {
  const auto end = std::chrono::steady_clock::now() + kSharedBy;
  for (auto pause = 1ms;; pause *= 2) {
    const bool last = std::chrono::steady_clock::now() > end;
    try {
      if (read_lock(lock_path(folder)).generation == generation) return true;
    } catch (const Error&) {
      if (last) throw;
    }
    if (last) return false;
    std::this_thread::sleep_for(pause);
    look_again(folder);
  }
}

void require_seen(Transport& world, const fs::path& folder, const std::string& generation) {
  const std::vector<std::string> seen =
      agree(patient(world), kOpening, [&] { return std::string(sees_lock(folder, generation) ? "seen" : ""); });
  std::vector<int> blind;
  for (std::size_t rank = 0; rank < seen.size(); ++rank)
    if (seen[rank].empty()) blind.push_back(static_cast<int>(rank));
  check(blind.empty(), "output.directory: ", folder.string(), " of ", name_of_rank(0, world.places()),
        " is not seen by ", names_of_ranks(blind, world.places()), "; it must be on a disk that all ranks share");
}

/// Removes what earlier jobs left of their flights.
void clear_flights(const fs::path& flights) {
  std::error_code ignored;
  FlightRecorder::clear(flights);
  for (const auto& entry : fs::directory_iterator(flights, ignored)) {
    if (!entry.is_directory(ignored)) continue;
    FlightRecorder::clear(entry.path());
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

RunFolder::RunFolder(const RunDirectory& directory, Resume resume, Transport& world)
    : directory_(directory), world_(world) {
  try {
    generation_ = agree(patient(world_), kOpening, [&] {
                    if (world_.rank() == 0) open(resume);
                    return lock_ ? lock_->generation() : std::string();
                  }).front();
    require_seen(world_, directory_.root, generation_);
  } catch (const Error&) {
    give_up();
    throw;
  }
}

void RunFolder::open(Resume resume) {
  check_run_directory(directory_, resume != Resume::kNo);
  made_ = topmost_missing(directory_.root);
  make_durable_directory(directory_.root);
  lock_.emplace(directory_.root, [](const std::string& line) { tell("coe: " + line); });
  check_run_directory(directory_, resume != Resume::kNo);  // another may have begun and ended meanwhile
  const bool nothing = !newest_checkpoint(directory_.checkpoints()) && set_aside_in(directory_.checkpoints()).empty();
  check(resume != Resume::kYes || !nothing, "--resume: ", directory_.root.string(),
        " holds no checkpoint to go on from; --resume=auto starts from the beginning there");
  clear_flights(directory_.flight());
}

RunFolder::~RunFolder() { give_up(); }

void RunFolder::give_up() {
  std::error_code in_use;
  if (lock_) fs::remove(directory_.flight(), in_use);
  lock_.reset();
  remove_empty(directory_.root, made_);
}

void RunFolder::require_held() const {
  agree({&world_}, kOpening, [&] {
    if (lock_) lock_->require_held();
    return std::string();
  });
}

}  // namespace coe
