#include "launcher/train/run_lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <random>
#include <sstream>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/files/mapped_file.h"

namespace coe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Two that find no lock, on a disk that has none of the system's, have both written by then: the last one holds it.
constexpr std::chrono::milliseconds kOthersWrite{500};

[[noreturn]] void refuse(const fs::path& path, int error) {
  fail(ErrorCode::kSystem, "output.directory: ", path.string(), " cannot be written: ", std::strerror(error));
}

std::string text_of(const LockHolder& holder) {
  return fmt::format("process {} on {} since {}", holder.place.process, holder.place.host.data(), holder.since);
}

[[noreturn]] void refuse_held(const fs::path& path, const LockHolder& holder) {
  const std::string who = holder.generation.empty() ? "another process" : text_of(holder);
  fail(ErrorCode::kBadInput, "output.directory: ", path.parent_path().string(), " is in use by ", who,
       "; end that first, or name another folder with --out");
}

/// What the lock says; nothing where that is not known.
std::optional<LockHolder> lock_if_readable(const fs::path& path) {
  try {
    return read_lock(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// What is written in a lock, nothing where there is none.
std::string lock_contents(const fs::path& path) {
  try {
    const MappedFile file(path);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    return {};
  }
}

/// Whether the folder's lock shows a sign of life within `patience`.
bool shows_life(const fs::path& path, const LockHolder& holder, const RunLock::Times& times) {
  const Clock::time_point end = Clock::now() + times.patience;
  while (Clock::now() < end) {
    const LockHolder now = read_lock(path);
    if (now.generation.empty()) return false;  // it has ended in order meanwhile
    if (now != holder) return true;
    std::this_thread::sleep_for(times.beat / 8);
  }
  return false;
}

bool is_at(const fs::path& path, int descriptor) {
  struct stat there {
  }, own{};
  return stat(path.c_str(), &there) == 0 && fstat(descriptor, &own) == 0 && there.st_ino == own.st_ino &&
         there.st_dev == own.st_dev;
}

void write_whole(const fs::path& path, int descriptor, const std::string& text) {
  if (ftruncate(descriptor, static_cast<off_t>(text.size())) != 0) refuse(path, errno);
  if (pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) refuse(path, errno);
}

}  // namespace

fs::path lock_path(const fs::path& folder) { return folder / "run.lock"; }

LockHolder read_lock(const fs::path& path) {
  LockHolder holder;
  std::istringstream text(lock_contents(path));
  for (std::string line; std::getline(text, line);) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string key = line.substr(0, space), value = line.substr(std::min(space + 1, line.size()));
    if (key == "host") value.copy(holder.place.host.data(), holder.place.host.size() - 1);
    if (key == "boot") value.copy(holder.place.boot.data(), holder.place.boot.size() - 1);
    if (key == "process") holder.place.process = std::atoll(value.c_str());
    if (key == "processes") holder.place.processes = std::strtoull(value.c_str(), nullptr, 10);
    if (key == "started") holder.place.started = std::strtoull(value.c_str(), nullptr, 10);
    if (key == "since") holder.since = value;
    if (key == "generation") holder.generation = value;
    if (key == "beats") holder.beats = std::atoll(value.c_str());
  }
  return holder;
}

/// Of one length for one process, so that a reader finds it whole while it is rewritten.
std::string lock_text(const LockHolder& holder) {
  const RankPlace& place = holder.place;
  return fmt::format("host {}\nboot {}\nprocess {}\nprocesses {}\nstarted {}\nsince {}\ngeneration {}\nbeats {:012}\n",
                     place.host.data(), place.boot.data(), place.process, place.processes, place.started, holder.since,
                     holder.generation, holder.beats);
}

LockHolder own_holder() {
  LockHolder own;
  own.place = own_place();
  own.place.network = 0;  // no matter here
  own.since = fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)));
  own.generation = fmt::format("{:08x}{:08x}", std::random_device()(), static_cast<std::uint32_t>(own.place.process));
  return own;
}

RunLock::RunLock(const fs::path& folder, const Say& say, Times times)
    : path_(lock_path(folder)), say_(say), times_(times), own_(own_holder()) {
  while (!take()) close(std::exchange(descriptor_, -1));
  // Signals are for the threads that were there before.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  beats_ = std::thread([this] { beat(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// False where the file has been exchanged meanwhile.
bool RunLock::take() {
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) refuse(path_, errno);
  try {
    // Where the disk has no such locks (any other error), only what the file says is left.
    const bool locked = flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) refuse_held(path_, read_lock(path_));
    require_dead(read_lock(path_));
    if (!is_at(path_, descriptor_)) return false;
    write_whole(path_, descriptor_, lock_text(own_));
    if (locked) return true;
    std::this_thread::sleep_for(kOthersWrite);
    const LockHolder winner = read_lock(path_);
    if (winner.generation != own_.generation) refuse_held(path_, winner);
  } catch (const Error&) {
    close(descriptor_);
    throw;
  }
  return true;
}

void RunLock::require_dead(const LockHolder& holder) const {
  if (holder.generation.empty()) return;
  const ProcessState state = state_of(holder.place, own_.place);
  if (state == ProcessState::kDead) return;
  if (state != ProcessState::kUnknown) refuse_held(path_, holder);
  say_(fmt::format("{} was held by {}: waiting {:g} s for a sign of life", path_.string(), text_of(holder),
                   std::chrono::duration<double>(times_.patience).count()));
  if (shows_life(path_, holder, times_)) refuse_held(path_, holder);
}

void RunLock::beat() {
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, times_.beat, [this] { return ends_; })) {
    const std::optional<LockHolder> now = lock_if_readable(path_);
    if (now && now->generation != own_.generation) return;
    ++own_.beats;
    const std::string text = lock_text(own_);
    // A disk that is full or away is found by who writes what matters.
    if (pwrite(descriptor_, text.data(), text.size(), 0) < 0) continue;
  }
}

RunLock::~RunLock() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  ending_.notify_one();
  beats_.join();
  const std::optional<LockHolder> last = lock_if_readable(path_);
  if (last && last->generation == own_.generation) unlink(path_.c_str());
  close(descriptor_);
}

/// Who took it over may have ended since: what it wrote is still in the file that this process keeps open. A disk of
/// the network may have let go of that, too.
LockHolder RunLock::holder_now() const {
  const LockHolder holder = read_lock(path_);
  if (!holder.generation.empty()) return holder;
  return lock_if_readable(fmt::format("/proc/self/fd/{}", descriptor_)).value_or(holder);
}

void RunLock::require_held() const {
  LockHolder holder;
  try {
    holder = holder_now();
  } catch (const Error& error) {
    // A disk that is away for a while; where it stays away, what is written next says so.
    return say_(
        fmt::format("whether {} is still this job's is not known: {}", path_.parent_path().string(), error.what()));
  }
  if (holder.generation == own_.generation) return;
  // One that is there and says nothing is of a disk that is away for a while.
  std::error_code unknown;
  const bool gone = !fs::exists(path_, unknown) && !unknown;
  if (holder.generation.empty() && !gone) return;
  fail(ErrorCode::kSystem, "output.directory: ", path_.parent_path().string(), " is no longer this job's: ",
       holder.generation.empty() ? "its lock has been removed" : text_of(holder) + " has taken it over",
       ", and nothing more is written there");
}

}  // namespace coe
