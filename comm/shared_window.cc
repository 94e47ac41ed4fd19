#include "comm/shared_window.h"

#include <cstdint>
#include <utility>

#include "comm/shared_device_memory.h"
#include "comm/shared_memory.h"
#include "kernels/memory/device_calls.h"

namespace coe {
namespace {

/// Memory that ranks of this machine share; a rank that shares with none has memory of its own.
class SharedWindow : public Window {
 public:
  SharedWindow(std::vector<std::byte*> parts, std::size_t bytes, std::vector<SharedMemory> memory)
      : Window(std::move(parts), bytes), memory_(std::move(memory)) {}

 private:
  std::vector<SharedMemory> memory_;
};

/// Memory of devices that processes of this machine map, with a number behind each part by which its rank tells the
/// others' streams where its own has come to.
class SharedDeviceWindow : public Window {
 public:
  SharedDeviceWindow(std::vector<std::byte*> parts, std::size_t bytes, std::vector<SharedDeviceMemory> memory)
      : Window(std::move(parts), bytes), memory_(std::move(memory)) {}
  static std::size_t with_number(std::size_t bytes) { return place_of_number(bytes) + kLine; }

  void mark(int rank, std::uint64_t number, const Stream& stream) const override {
    cuda::write_number(stream.handle(), word(rank), static_cast<std::uint32_t>(number), stream.device().index);
  }
  void hold(int rank, std::uint64_t number, const Stream& stream) const override {
    cuda::await_number(stream.handle(), word(rank), static_cast<std::uint32_t>(number), stream.device().index);
  }

 private:
  static constexpr std::size_t kLine = 256;
  static std::size_t place_of_number(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
  std::byte* word(int rank) const { return of(rank) + place_of_number(bytes()); }

  std::vector<SharedDeviceMemory> memory_;
};

/// Who hands whom open files.
struct Sharing {
  const Group& group;
  Neighbours& neighbours;
  const SharingRanks& peers;
};

/// Where each rank's part begins: `memory` is this rank's, to which is added what map(file) makes of each peer's.
template <class Memory, class Map>
std::vector<std::byte*> share(const Sharing& sharing, std::vector<Memory>& memory, const Map& map) {
  std::vector<std::byte*> parts(static_cast<std::size_t>(sharing.group.size()), nullptr);
  parts[static_cast<std::size_t>(sharing.group.rank())] = memory.front().data();
  std::vector<Descriptor> files =
      sharing.neighbours.trade(sharing.group, sharing.peers.in_job, memory.front().file(), {.name = "making a window"});
  memory.front().close_file();
  for (std::size_t i = 0; i < files.size(); ++i) {
    memory.push_back(map(std::move(files[i])));
    memory.back().close_file();
    parts[static_cast<std::size_t>(sharing.peers.in_group[i])] = memory.back().data();
  }
  return parts;
}

std::unique_ptr<Window> make_device_window(const Sharing& sharing, std::size_t bytes, Device device) {
  check(std::ssize(sharing.peers.in_group) + 1 == sharing.group.size(),
        "window: ranks of several hosts share no device's memory");
  const std::size_t whole = SharedDeviceWindow::with_number(bytes);
  std::vector<SharedDeviceMemory> memory;
  memory.push_back(SharedDeviceMemory::create(whole, device));
  std::vector<std::byte*> parts =
      share(sharing, memory, [&](Descriptor file) { return SharedDeviceMemory::map(std::move(file), whole, device); });
  return std::make_unique<SharedDeviceWindow>(std::move(parts), bytes, std::move(memory));
}

std::unique_ptr<Window> make_host_window(const Sharing& sharing, std::size_t bytes) {
  const auto peers = static_cast<int>(sharing.peers.in_group.size());
  std::vector<SharedMemory> memory;
  memory.push_back(peers == 0 ? SharedMemory::own(bytes) : SharedMemory::create(bytes, peers + 1));
  std::vector<std::byte*> parts =
      share(sharing, memory, [&](Descriptor file) { return SharedMemory::map(std::move(file), bytes); });
  return std::make_unique<SharedWindow>(std::move(parts), bytes, std::move(memory));
}

}  // namespace

std::unique_ptr<Window> make_shared_window(const Group& group, Neighbours& neighbours, const SharingRanks& peers,
                                           std::size_t bytes, Device device) {
  const Sharing sharing{group, neighbours, peers};
  return device == kCpu ? make_host_window(sharing, bytes) : make_device_window(sharing, bytes, device);
}

}  // namespace coe
