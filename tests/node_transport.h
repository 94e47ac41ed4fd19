#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "comm/transport.h"

namespace coe {

/// A window that reaches no further than the own of nodes of so many ranks each.
class NodeWindow : public Window {
 public:
  NodeWindow(std::unique_ptr<Window> whole, int rank, int ranks_per_node)
      : Window(parts_of(*whole, rank / ranks_per_node, ranks_per_node), whole->bytes()), whole_(std::move(whole)) {}

 private:
  static std::vector<std::byte*> parts_of(const Window& whole, int node, int ranks_per_node) {
    std::vector<std::byte*> parts;
    for (int peer = 0; peer < whole.size(); ++peer) {
      parts.push_back(peer / ranks_per_node == node ? whole.of(peer) : nullptr);
    }
    return parts;
  }
  std::unique_ptr<Window> whole_;
};

/// A Transport whose ranks sit on nodes of `ranks_per_node` each: windows reach no further than the own node. Views the
/// Transport.
class NodeTransport : public Transport {
 public:
  NodeTransport(Transport& inner, int ranks_per_node) : inner_(inner), ranks_per_node_(ranks_per_node) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Reach reach(int peer) const override { return inner_.reach(peer); }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override {
    const std::uint64_t before = inner_.messages_sent();
    const Ticket ticket = inner_.post(sends, receives);
    count_sent(inner_.messages_sent() - before);
    return ticket;
  }
  bool test(Ticket ticket) override { return inner_.test(ticket); }
  Shortfall lack(Ticket ticket) override { return inner_.lack(ticket); }
  void give_up(Ticket ticket) override { inner_.give_up(ticket); }
  void check_peers() override { inner_.check_peers(); }
  Shortfall lack_of(std::span<const int> peers) const override { return inner_.lack_of(peers); }
  void abort(const Error& error) noexcept override { inner_.abort(error); }
  /// Of all ranks in their order, so that they stay on their nodes.
  std::unique_ptr<Transport> split(int color, int key) override;
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override {
    return std::make_unique<NodeWindow>(inner_.make_window(bytes, device), rank(), ranks_per_node_);
  }

 private:
  Transport& inner_;
  int ranks_per_node_;
};

/// The same with a Transport of its own.
class OwningNodeTransport : private std::unique_ptr<Transport>, public NodeTransport {
 public:
  OwningNodeTransport(std::unique_ptr<Transport> inner, int ranks_per_node)
      : std::unique_ptr<Transport>(std::move(inner)), NodeTransport(**this, ranks_per_node) {}
};

inline std::unique_ptr<Transport> NodeTransport::split(int color, int key) {
  return std::make_unique<OwningNodeTransport>(inner_.split(color, key), ranks_per_node_);
}

}  // namespace coe
