#pragma once

#include <memory>
#include <utility>

#include "comm/transport.h"
#include "tests/node_transport.h"

namespace coe {

/// Throws kInternal "injected" instead of the operation that is posted when `left`, which all groups of a rank count
/// down together, has come to 0. Rows are posted too: windows reach nobody else. Views the Transport and the count.
class FaultyTransport : public Transport {
 public:
  FaultyTransport(Transport& inner, long& left) : inner_(inner), left_(left) {}
  FaultyTransport(std::unique_ptr<Transport> inner, long& left)
      : owned_(std::move(inner)), inner_(*owned_), left_(left) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Reach reach(int peer) const override { return inner_.reach(peer); }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override {
    if (left_-- == 0) fail(ErrorCode::kInternal, "injected");
    return inner_.post(sends, receives);
  }
  bool test(Ticket ticket) override { return inner_.test(ticket); }
  Shortfall lack(Ticket ticket) override { return inner_.lack(ticket); }
  void give_up(Ticket ticket) override { inner_.give_up(ticket); }
  void check_peers() override { inner_.check_peers(); }
  Shortfall lack_of(std::span<const int> peers) const override { return inner_.lack_of(peers); }
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override {
    return std::make_unique<NodeWindow>(inner_.make_window(bytes, device), rank(), 1);
  }
  void abort(const Error& error) noexcept override { inner_.abort(error); }
  std::unique_ptr<Transport> split(int color, int key) override {
    return std::make_unique<FaultyTransport>(inner_.split(color, key), left_);
  }

 private:
  std::unique_ptr<Transport> owned_;
  Transport& inner_;
  long& left_;
};

}  // namespace coe
