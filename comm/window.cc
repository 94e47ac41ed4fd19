#include "comm/window.h"

#include <atomic>

#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr std::size_t kLine = 64;  // ranks that write should not share one

std::size_t bytes_per_source(int channels) {
  return (static_cast<std::size_t>(channels) * sizeof(std::uint64_t) + kLine - 1) / kLine * kLine;
}

}  // namespace

void Window::mark(int /*rank*/, std::uint64_t /*number*/, const Stream& /*stream*/) const {
  fail(ErrorCode::kInternal, "window: its ranks share no device, so that no stream can wait for another");
}

void Window::hold(int rank, std::uint64_t number, const Stream& stream) const { mark(rank, number, stream); }

std::size_t Signals::bytes_for(int ranks, int channels) {
  return static_cast<std::size_t>(ranks) * bytes_per_source(channels);
}

std::uint64_t* Signals::place(int holder, int source, int channel) const {
  std::byte* mine = window_->of(holder) + offset_ + static_cast<std::size_t>(source) * bytes_per_source(channels_);
  return reinterpret_cast<std::uint64_t*>(mine) + channel;
}

void Signals::raise(int peer, int channel, std::uint64_t number) const {
  std::atomic_ref(*place(peer, rank_, channel)).store(number, std::memory_order_release);
}

std::uint64_t Signals::heard(int source, int channel) const {
  return std::atomic_ref(*place(rank_, source, channel)).load(std::memory_order_acquire);
}

}  // namespace coe
