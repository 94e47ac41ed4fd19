#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "comm/rank_place.h"

namespace coe {

/// Who holds a run's folder, as its lock file says.
struct LockHolder {
  RankPlace place;         ///< the process
  std::string since;       ///< "2026-11-30 17:04:05 UTC"
  std::string generation;  ///< a word that no other holder has
  std::int64_t beats = 0;  ///< signs of life

  bool operator==(const LockHolder&) const = default;
};

/// One process's hold of a folder, from its making to its end, so that no other process writes there. A file says who
/// holds it and is rewritten every few seconds as a sign of life; the system's own lock on that file makes sure of it
/// where the disk has such locks. What a process left that has died is taken over: at once where that can be asked, on
/// another machine or in another namespace of processes when no sign of life has come for `patience`.
class RunLock {
 public:
  using Say = std::function<void(const std::string&)>;
  struct Times {
    std::chrono::milliseconds beat{2000}, patience{8000};
  };

  /// Throws kBadInput, naming the holder, where another process holds `folder`, which must exist, and kSystem where the
  /// file cannot be read or written. Says what it waits for, and later what keeps it from seeing whether it holds it.
  explicit RunLock(const std::filesystem::path& folder, const Say& say) : RunLock(folder, say, Times()) {}
  RunLock(const std::filesystem::path& folder, const Say& say, Times times);
  /// Removes the file, unless it is another's by now.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  const std::string& generation() const { return own_.generation; }
  /// Throws kSystem where another process has taken the folder over, as it may where this one was stopped for long.
  void require_held() const;

 private:
  bool take();
  void require_dead(const LockHolder& holder) const;
  void beat();
  LockHolder holder_now() const;

  std::filesystem::path path_;
  Say say_;
  Times times_;
  LockHolder own_;
  int descriptor_ = -1;
  std::mutex mutex_;
  std::condition_variable ending_;
  bool ends_ = false;
  std::thread beats_;
};

/// Where the lock of a folder stands.
std::filesystem::path lock_path(const std::filesystem::path& folder);
/// What is written there; an empty generation where there is no file or it says nothing. Throws kSystem for a file that
/// cannot be read: who holds it is not known then.
LockHolder read_lock(const std::filesystem::path& path);
std::string lock_text(const LockHolder& holder);
/// This process as a holder.
LockHolder own_holder();

}  // namespace coe
