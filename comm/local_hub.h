#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "comm/transport.h"
#include "kernels/memory/buffer.h"

namespace coe {

/// What the ranks of one local group share: a mailbox each, the first failure of the job, and the groups split off.
/// Outlives the Transports connected to it. Thread-safe.
class LocalHub {
 public:
  /// The whole job.
  explicit LocalHub(int ranks, std::chrono::milliseconds deadline = kDefaultDeadline);

  /// The Transport of `rank`, to be used by one thread.
  std::unique_ptr<Transport> connect(int rank);

 private:
  friend class LocalTransport;
  friend class LocalWindow;

  /// A send that nobody has taken yet. Views the sender's memory.
  struct Sent {
    const Message* message = nullptr;
    std::atomic<int>* open = nullptr;  ///< Of the sender's operation: its messages not yet copied.
  };
  struct Mailbox {
    std::mutex mutex;
    std::vector<std::vector<Sent>> from;  ///< By source, in the order posted.
  };
  struct Failure {
    std::atomic<bool> happened = false;
    std::mutex mutex;
    std::string message;
  };

  /// The memory of one window and the ranks' events, kept until every rank has given it up.
  struct Shared {
    std::vector<Buffer> parts;
    std::vector<Event> events;
    int users = 0;
  };

  LocalHub(LocalHub& root, std::vector<int> job_ranks);
  void make_mailboxes();
  int size() const { return static_cast<int>(job_ranks_.size()); }
  int job_rank(int rank) const { return job_ranks_[static_cast<std::size_t>(rank)]; }
  Mailbox& mailbox(int rank) { return *mailboxes_[static_cast<std::size_t>(rank)]; }
  Failure& failure() { return root_->failure_; }
  /// The group of `color` made by the split number `split`; whoever asks first makes it.
  LocalHub& part(std::uint64_t split, int color, const std::vector<int>& members);
  /// Window `number`; whoever asks first makes it.
  const Shared& open_window(std::uint64_t number, std::size_t bytes, Device device);
  void close_window(std::uint64_t number);

  LocalHub* root_;
  std::chrono::milliseconds deadline_;
  std::vector<int> job_ranks_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  Failure failure_;  ///< Of the root only.
  std::mutex parts_mutex_;
  std::map<std::pair<std::uint64_t, int>, std::unique_ptr<LocalHub>> parts_;
  std::mutex windows_mutex_;
  std::map<std::uint64_t, Shared> windows_;
};

}  // namespace coe
