#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/local_hub.h"
#include "comm/window.h"

namespace coe {

/// One rank's use of a window of its hub.
class LocalWindow : public Window {
 public:
  LocalWindow(LocalHub& hub, std::uint64_t number, std::size_t bytes, Device device)
      : LocalWindow(hub, number, bytes, hub.open_window(number, bytes, device)) {}
  ~LocalWindow() override { hub_.close_window(number_); }
  LocalWindow(const LocalWindow&) = delete;
  LocalWindow& operator=(const LocalWindow&) = delete;

  /// Of every rank: who marks again has held the mark before, of all others, so two take turns.
  static constexpr std::size_t kEvents = 2;

  void mark(int rank, std::uint64_t number, const Stream& stream) const override { event(rank, number).record(stream); }
  void hold(int rank, std::uint64_t number, const Stream& stream) const override { event(rank, number).hold(stream); }

 private:
  LocalWindow(LocalHub& hub, std::uint64_t number, std::size_t bytes, const LocalHub::Shared& shared)
      : Window(places(shared.parts), bytes), hub_(hub), number_(number), events_(shared.events) {}
  const Event& event(int rank, std::uint64_t number) const {
    return events_[static_cast<std::size_t>(rank) * kEvents + number % kEvents];
  }
  static std::vector<std::byte*> places(const std::vector<Buffer>& parts) {
    std::vector<std::byte*> all;
    for (const Buffer& part : parts) all.push_back(part.data());
    return all;
  }

  LocalHub& hub_;
  std::uint64_t number_;
  std::span<const Event> events_;
};

}  // namespace coe
