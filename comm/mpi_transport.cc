#include "comm/mpi_transport.h"

#include <mpi.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/mpi_blocks.h"
#include "comm/mpi_job.h"
#include "comm/shared_window.h"
#include "comm/watchdog.h"

namespace coe {
namespace {

/// MPI counts in int; a longer message goes as several.
constexpr std::size_t kLongestMessage = std::size_t{1} << 30;
constexpr int kTag = 0;

/// A rank of an MPI communicator; all pieces for a peer are one message, MPI_Isend to MPI_Irecv.
class MpiTransport : public Transport {
 public:
  /// The whole job.
  explicit MpiTransport(std::unique_ptr<MpiJob> job);
  /// A part of it.
  MpiTransport(MpiJob& job, MPI_Comm handle);
  ~MpiTransport() override;
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Reach reach(int peer) const override { return peer == rank_ ? Reach::kSelf : Reach::kMessage; }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override;
  bool test(Ticket ticket) override;
  Shortfall lack(Ticket ticket) override;
  void give_up(Ticket ticket) override { take_back(find(ticket)); }
  void check_peers() override;
  Shortfall lack_of(std::span<const int> peers) const override;
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override;
  bool maps_devices() const override { return std::ssize(sharing_ranks()) + 1 == size_; }
  void abort(const Error& error) noexcept override;
  std::unique_ptr<Transport> split(int color, int key) override;

 private:
  struct Part {
    int peer = 0;
    int bytes = 0;
    bool receives = false;
  };
  /// requests[i] moves parts[i]; a completed one is MPI_REQUEST_NULL.
  struct Operation {
    std::uint64_t id = 0;  ///< 0: free; its vectors keep their memory.
    std::vector<MPI_Request> requests;
    std::vector<Part> parts;
  };

  Operation& free_operation();
  Operation& find(Ticket ticket);
  void begin(Operation& operation, const Message& message, bool receives);
  void begin_part(Operation& operation, const MpiBlocks& blocks, const Part& part);
  void check_status(const Part& part, const MPI_Status& status) const;
  static void take_back(Operation& operation);
  int job_rank(int rank) const { return job_ranks_[static_cast<std::size_t>(rank)]; }

  void learn_size();
  void tell_hindrance();
  std::vector<int> sharing_ranks() const;

  std::unique_ptr<MpiJob> owned_;  ///< The world's; ends last.
  MpiJob& job_;
  Communicator communicator_;
  int rank_ = 0, size_ = 1;
  std::vector<int> job_ranks_;
  std::uint64_t last_id_ = 0;
  std::deque<Operation> operations_;
  MpiBlocks blocks_;
  std::vector<int> indices_;
  std::vector<MPI_Status> statuses_;
};

MpiTransport::MpiTransport(std::unique_ptr<MpiJob> job)
    : Transport(job->options.deadline),
      owned_(std::move(job)),
      job_(*owned_),
      communicator_(duplicate_world(job_.options.set_up())) {
  learn_size();
  const RankPlace own = own_place();
  job_.places.resize(static_cast<std::size_t>(size_));
  const Group world{this, job_.options.set_up()};
  all_gather<RankPlace>(world, {&own, 1}, job_.places, {.name = "meeting the ranks"});
  set_places(job_.places);
  job_.neighbours.emplace(world, job_.places);
  tell_hindrance();
}

/// The first rank that has one says it.
void MpiTransport::tell_hindrance() {
  const std::string& hindrance = job_.neighbours->hindrance();
  const std::uint8_t mine = hindrance.empty() ? 0 : 1;
  std::vector<std::uint8_t> all(static_cast<std::size_t>(size_));
  all_gather<std::uint8_t>({this, job_.options.set_up()}, {&mine, 1}, all, {.name = "meeting the ranks"});
  const bool first = mine == 1 && std::ranges::find(all, 1) - all.begin() == rank_;
  if (first && job_.options.say) job_.options.say(hindrance);
}

MpiTransport::MpiTransport(MpiJob& job, MPI_Comm handle)
    : Transport(job.options.deadline, job.places), job_(job), communicator_(handle) {
  learn_size();
}

void MpiTransport::learn_size() {
  check_mpi(MPI_Comm_rank(communicator_.get(), &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(communicator_.get(), &size_), "MPI_Comm_size");
  job_ranks_ = job_ranks_of(communicator_.get(), size_);
}

MpiTransport::~MpiTransport() {
  for (Operation& operation : operations_) {
    if (operation.id != 0) take_back(operation);
  }
}

MpiTransport::Operation& MpiTransport::free_operation() {
  for (Operation& operation : operations_) {
    if (operation.id == 0) return operation;
  }
  return operations_.emplace_back();
}

MpiTransport::Operation& MpiTransport::find(Ticket ticket) {
  for (Operation& operation : operations_) {
    if (operation.id == ticket.id && ticket.id != 0) return operation;
  }
  fail(ErrorCode::kInternal, "mpi transport: ticket ", ticket.id, " is not under way");
}

void MpiTransport::begin_part(Operation& operation, const MpiBlocks& blocks, const Part& part) {
  const MpiMemory memory = blocks.memory();
  operation.parts.push_back(part);
  MPI_Request& request = operation.requests.emplace_back(MPI_REQUEST_NULL);
  const auto begin_with = [&](auto* call, const char* name) {
    check_mpi(call(memory.address(), memory.count(), memory.type(), part.peer, kTag, communicator_.get(), &request),
              name);
  };
  if (part.receives) return begin_with(MPI_Irecv, "MPI_Irecv");
  begin_with(MPI_Isend, "MPI_Isend");
  count_sent(1);
}

void MpiTransport::begin(Operation& operation, const Message& message, bool receives) {
  blocks_.cut(message.pieces, kLongestMessage, [&](const MpiBlocks& blocks) {
    begin_part(operation, blocks, {message.peer, static_cast<int>(blocks.bytes()), receives});
  });
}

Ticket MpiTransport::post(std::span<const Message> sends, std::span<const Message> receives) {
  const auto check_peer = [this](const Message& message) {
    check(message.peer >= 0 && message.peer < size_, "mpi transport: peer is ", message.peer, ", ranks are ", size_);
  };
  std::ranges::for_each(sends, check_peer);
  std::ranges::for_each(receives, check_peer);
  Operation& operation = free_operation();
  operation.requests.clear();
  operation.parts.clear();
  operation.id = ++last_id_;
  // Receives first: what arrives early then goes to its place at once.
  for (const Message& message : receives) begin(operation, message, true);
  for (const Message& message : sends) begin(operation, message, false);
  return {operation.id};
}

void MpiTransport::check_status(const Part& part, const MPI_Status& status) const {
  int bytes = part.bytes;
  if (part.receives) MPI_Get_count(&status, MPI_BYTE, &bytes);
  if (bytes != part.bytes) {
    fail(ErrorCode::kInternal, "mpi transport: rank ", job_rank(rank_), " expects a message of ", part.bytes,
         " bytes, rank ", job_rank(part.peer), " sends one of ", bytes);
  }
}

bool MpiTransport::test(Ticket ticket) {
  Operation& operation = find(ticket);
  const auto count = static_cast<int>(operation.requests.size());
  indices_.resize(operation.requests.size());
  statuses_.resize(operation.requests.size());
  int completed = 0;
  const int result = MPI_Testsome(count, operation.requests.data(), &completed, indices_.data(), statuses_.data());
  if (result == MPI_ERR_IN_STATUS) {
    for (int i = 0; i < completed; ++i) check_mpi(statuses_[static_cast<std::size_t>(i)].MPI_ERROR, "MPI_Testsome");
  }
  check_mpi(result, "MPI_Testsome");
  for (int i = 0; i < completed; ++i) {
    const auto at = static_cast<std::size_t>(i);
    check_status(operation.parts[static_cast<std::size_t>(indices_[at])], statuses_[at]);
  }
  const auto open = [](MPI_Request request) { return request != MPI_REQUEST_NULL; };
  if (std::ranges::any_of(operation.requests, open)) return false;
  operation.id = 0;
  return true;
}

Shortfall MpiTransport::lack(Ticket ticket) {
  const Operation& operation = find(ticket);
  Shortfall lack;
  lack.rank = job_rank(rank_);
  for (std::size_t i = 0; i < operation.parts.size(); ++i) {
    const Part& part = operation.parts[i];
    const auto bytes = static_cast<std::size_t>(part.bytes);
    (part.receives ? lack.expected : lack.sent) += bytes;
    if (operation.requests[i] == MPI_REQUEST_NULL) {
      (part.receives ? lack.arrived : lack.taken) += bytes;
    } else {
      lack.peers.push_back(job_rank(part.peer));
    }
  }
  std::ranges::sort(lack.peers);
  lack.peers.erase(std::unique(lack.peers.begin(), lack.peers.end()), lack.peers.end());
  return lack;
}

Shortfall MpiTransport::lack_of(std::span<const int> peers) const {
  Shortfall lack;
  lack.rank = job_rank(rank_);
  for (const int peer : peers) lack.peers.push_back(job_rank(peer));
  std::ranges::sort(lack.peers);
  return lack;
}

/// Those of this group that share memory with this one.
std::vector<int> MpiTransport::sharing_ranks() const {
  std::vector<int> ranks;
  for (int peer = 0; peer < size_; ++peer) {
    if (peer != rank_ && job_.neighbours->shares_memory(job_rank(peer))) ranks.push_back(peer);
  }
  return ranks;
}

std::unique_ptr<Window> MpiTransport::make_window(std::size_t bytes, Device device) {
  SharingRanks peers{sharing_ranks(), {}};
  for (const int peer : peers.in_group) peers.in_job.push_back(job_rank(peer));
  return make_shared_window({this, deadline(), recorder()}, *job_.neighbours, peers, bytes, device);
}

/// An abort takes the whole job down; what waits for something else than a message lets messages travel here.
void MpiTransport::check_peers() {
  int there = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_.get(), &there, MPI_STATUS_IGNORE), "MPI_Iprobe");
}

/// A receive can be cancelled; a send cannot, and is left to MPI until the job ends.
void MpiTransport::take_back(Operation& operation) {
  for (std::size_t i = 0; i < operation.parts.size(); ++i) {
    if (operation.requests[i] == MPI_REQUEST_NULL) continue;
    if (operation.parts[i].receives) MPI_Cancel(&operation.requests[i]);
    MPI_Request_free(&operation.requests[i]);
  }
  operation.id = 0;
}

/// Where another rank was first the launcher no longer answers, but ends this process by SIGTERM, whatever that meant
/// to it so far.
void MpiTransport::abort(const Error& error) noexcept {
  std::signal(SIGTERM, SIG_DFL);
  MPI_Abort(MPI_COMM_WORLD, error.code() == ErrorCode::kBadInput ? 2 : 1);
}

std::unique_ptr<Transport> MpiTransport::split(int color, int key) {
  check(color >= 0, "mpi transport: color is ", color, ", must be at least 0");
  // Once all have come here, MPI_Comm_split has nobody to wait for.
  barrier({this, deadline(), recorder()}, {.name = "splitting a group"});
  const Watchdog watchdog("mpi transport: MPI_Comm_split", job_.options.set_up(), job_.options.on_hang);
  MPI_Comm handle = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(communicator_.get(), color, key, &handle), "MPI_Comm_split");
  auto part = std::make_unique<MpiTransport>(job_, handle);
  part->record_by(recorder());
  return part;
}

}  // namespace

std::string_view mpi_missing() { return ""; }

std::unique_ptr<Transport> make_mpi_transport(const TransportOptions& options) {
  return std::make_unique<MpiTransport>(std::make_unique<MpiJob>(options));
}

}  // namespace coe
