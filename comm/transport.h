#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/rank_place.h"
#include "comm/window.h"
#include "kernels/memory/error.h"

namespace coe {

class FlightRecorder;

/// How this rank gets at a peer's memory.
enum class Reach {
  kSelf,     ///< It is this rank.
  kMapped,   ///< Same process or mapped memory: rows can be written to their final place.
  kMessage,  ///< Only messages reach it.
};

/// Bytes of one message that lie together.
struct Piece {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

/// What goes to, or comes from, one peer at once; both sides list pieces of equal sizes. Sizes are host numbers.
struct Message {
  int peer = 0;
  std::span<const Piece> pieces;
};

/// An operation under way on a Transport.
struct Ticket {
  std::uint64_t id = 0;
  std::uint64_t record = 0;  ///< Its number in a flight recorder, 0 without one.
};

/// What a rank is doing, for messages about waits and failures; -1 where it has no meaning.
struct Phase {
  std::string_view name;
  int layer = -1;
  int iteration = -1;
  int chunk = -1;
  /// "dispatch of layer 3, iteration 1"
  std::string text() const;
};

/// What an operation still lacks. Ranks are those of the whole job.
struct Shortfall {
  int rank = 0;            ///< Who waited,
  std::vector<int> peers;  ///< and for whom, ascending.
  std::size_t expected = 0, arrived = 0;
  std::size_t sent = 0, taken = 0;
};

/// Memory that operations were posted on, or that peers have mapped.
class PostedMemory {
 public:
  virtual ~PostedMemory() = default;
};

/// How long any wait may last; the default of the configuration.
inline constexpr std::chrono::milliseconds kDefaultDeadline{60'000};

/// Who can reach whom in one group of ranks: posts sends and receives and says when they are done.
///
/// A Transport belongs to one rank and one thread. Operations are matched between two ranks in the order in which each
/// of them posted; a message to oneself is legal. Posted memory, the pieces' and the messages' own, must outlive the
/// operation. Where no bytes go from one rank to another, nothing travels and nobody waits.
class Transport {
 public:
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Keeps memory that requests under way or peers may still touch until the transport ends.
  void park(std::unique_ptr<PostedMemory> memory) { parked_.push_back(std::move(memory)); }
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual Reach reach(int peer) const = 0;

  /// Begins sends and receives; returns at once.
  virtual Ticket post(std::span<const Message> sends, std::span<const Message> receives) = 0;
  /// Moves operations forward; true once `ticket` is complete, after which it is forgotten. Throws kPeer when a rank of
  /// the group has aborted, with that rank's own message.
  virtual bool test(Ticket ticket) = 0;
  /// What `ticket` lacked when test() last moved it.
  virtual Shortfall lack(Ticket ticket) = 0;
  /// Takes `ticket` back for a wait that ran out: ranks of this process no longer touch its memory. The group is then
  /// of no further use but to abort.
  virtual void give_up(Ticket ticket) = 0;
  /// For waits that are not for a ticket: moves operations forward, and throws kPeer when a rank of the group has
  /// aborted, as test() does.
  virtual void check_peers() = 0;
  /// What a wait that is not for a ticket lacks from ranks of this group: their numbers in the whole job.
  virtual Shortfall lack_of(std::span<const int> peers) const = 0;
  /// Memory of `bytes` on every rank, mapped between ranks of one machine that can share memory: the same ranks in
  /// every window. Collective; throws kSystem where the machine has too little, kBadInput for a device whose memory
  /// this transport does not map.
  std::unique_ptr<Window> make_window(std::size_t bytes) { return make_window(bytes, kCpu); }
  virtual std::unique_ptr<Window> make_window(std::size_t bytes, Device device) = 0;
  /// Whether all ranks' windows on a CUDA device are mapped: else make_window() refuses one, and only messages go
  /// between devices, by way of the host.
  virtual bool maps_devices() const { return false; }
  /// Tells every rank of the job that this one failed, so that their waits end. A launcher's job may be taken down by
  /// it.
  virtual void abort(const Error& error) noexcept = 0;
  /// Divides the group: ranks of one color (>= 0) form a group, ordered by (key, rank). Collective. The groups must not
  /// outlive this one.
  virtual std::unique_ptr<Transport> split(int color, int key) = 0;

  /// How long this rank waits where nobody says otherwise, in make_window() and split() too.
  std::chrono::milliseconds deadline() const { return deadline_; }
  /// Who keeps record where nobody says otherwise, in make_window() and split() too, and in groups that are split off
  /// from now on: a rank that waits there must be told from one that is silent. Viewed; may be missing.
  void record_by(FlightRecorder* recorder) { recorder_ = recorder; }
  FlightRecorder* recorder() const { return recorder_; }
  /// Where the ranks of the whole job run, by their numbers in it; empty where they are threads of one process.
  std::span<const RankPlace> places() const { return places_; }
  /// Messages that this rank has sent in this group so far, as the network counts them, collectives' too.
  std::uint64_t messages_sent() const { return messages_sent_; }

 protected:
  explicit Transport(std::chrono::milliseconds deadline = kDefaultDeadline, std::span<const RankPlace> places = {})
      : deadline_(deadline), places_(places) {}
  /// Views what must outlive this.
  void set_places(std::span<const RankPlace> places) { places_ = places; }
  void count_sent(std::uint64_t messages) { messages_sent_ += messages; }

 private:
  std::chrono::milliseconds deadline_;
  FlightRecorder* recorder_ = nullptr;
  std::uint64_t messages_sent_ = 0;
  std::span<const RankPlace> places_;
  std::vector<std::unique_ptr<PostedMemory>> parked_;
};

}  // namespace coe
