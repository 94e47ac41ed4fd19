#include "comm/local_hub.h"

#include <cstring>
#include <numeric>

#include "comm/local_window.h"

namespace coe {

LocalHub::LocalHub(int ranks, std::chrono::milliseconds deadline) : root_(this), deadline_(deadline) {
  check(ranks >= 1, "local transport: ranks are ", ranks, ", must be at least 1");
  job_ranks_.resize(static_cast<std::size_t>(ranks));
  std::iota(job_ranks_.begin(), job_ranks_.end(), 0);
  make_mailboxes();
}

LocalHub::LocalHub(LocalHub& root, std::vector<int> job_ranks)
    : root_(&root), deadline_(root.deadline_), job_ranks_(std::move(job_ranks)) {
  make_mailboxes();
}

void LocalHub::make_mailboxes() {
  for (std::size_t i = 0; i < job_ranks_.size(); ++i) {
    mailboxes_.push_back(std::make_unique<Mailbox>());
    mailboxes_.back()->from.resize(job_ranks_.size());
  }
}

LocalHub& LocalHub::part(std::uint64_t split, int color, const std::vector<int>& members) {
  const std::lock_guard lock(parts_mutex_);
  std::unique_ptr<LocalHub>& part = parts_[{split, color}];
  if (part == nullptr) {
    std::vector<int> job_ranks;
    job_ranks.reserve(members.size());
    for (const int member : members) job_ranks.push_back(job_rank(member));
    part = std::unique_ptr<LocalHub>(new LocalHub(*root_, std::move(job_ranks)));
  }
  return *part;
}

const LocalHub::Shared& LocalHub::open_window(std::uint64_t number, std::size_t bytes, Device device) {
  const std::lock_guard lock(windows_mutex_);
  Shared& shared = windows_[number];
  if (shared.parts.empty()) {
    shared.users = size();
    for (int rank = 0; rank < size(); ++rank) {
      const Buffer& part = shared.parts.emplace_back(bytes, device);
      if (device == kCpu) std::memset(part.data(), 0, bytes);
      for (std::size_t i = 0; i < LocalWindow::kEvents; ++i) shared.events.emplace_back(device);
    }
  }
  check(shared.parts.front().bytes() == bytes, "local transport: a window of ", bytes, " bytes, another rank says ",
        shared.parts.front().bytes());
  return shared;
}

void LocalHub::close_window(std::uint64_t number) {
  const std::lock_guard lock(windows_mutex_);
  const auto found = windows_.find(number);
  if (--found->second.users == 0) windows_.erase(found);
}

}  // namespace coe
