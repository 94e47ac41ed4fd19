#include "comm/mpi_transport.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <exception>
#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/shared_memory.h"
#include "comm/watchdog.h"

namespace coe {
namespace {

/// MPI counts in int; a longer piece goes as several messages.
constexpr std::size_t kLongestMessage = std::size_t{1} << 30;
constexpr int kTag = 0;

void check_mpi(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  fail(ErrorCode::kPeer, "mpi transport: ", call, ": ", text.data());
}

/// MPI's life in this process, where nobody else has started it. Ended in order only when the job went well: a rank
/// that leaves by an exception must not wait for the others in MPI_Finalize; the launcher notices its exit.
class MpiJob {
 public:
  MpiJob() {
    int started = 0, ended = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    check(ended == 0, "mpi transport: MPI has been ended in this process and cannot start again");
    owns_ = started == 0;
    if (!owns_) return;
    const Watchdog watchdog("mpi transport: MPI_Init", kDefaultDeadline);
    int provided = 0;
    const int result = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    if (result != MPI_SUCCESS) fail(ErrorCode::kSystem, "mpi transport: MPI_Init failed with code ", result);
  }
  ~MpiJob() {
    if (!owns_ || std::uncaught_exceptions() > exceptions_) return;
    const Watchdog watchdog("mpi transport: MPI_Finalize", kDefaultDeadline);
    MPI_Finalize();
  }
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;

 private:
  bool owns_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

/// A communicator of its own, so that its messages meet no others.
class Communicator {
 public:
  explicit Communicator(MPI_Comm handle) : handle_(handle) {
    check_mpi(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  ~Communicator() {
    if (std::uncaught_exceptions() == exceptions_) MPI_Comm_free(&handle_);
  }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  MPI_Comm get() const { return handle_; }

 private:
  MPI_Comm handle_;
  int exceptions_ = std::uncaught_exceptions();
};

MPI_Comm duplicate_world() {
  const Watchdog watchdog("mpi transport: MPI_Comm_dup", kDefaultDeadline);
  MPI_Comm handle = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &handle), "MPI_Comm_dup");
  return handle;
}

/// The world's rank of every rank of `group`.
std::vector<int> job_ranks_of(MPI_Comm communicator, int ranks) {
  MPI_Group group = MPI_GROUP_NULL, world = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(communicator, &group), "MPI_Comm_group");
  check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
  std::vector<int> own(static_cast<std::size_t>(ranks)), job(own.size());
  std::iota(own.begin(), own.end(), 0);
  check_mpi(MPI_Group_translate_ranks(group, ranks, own.data(), world, job.data()), "MPI_Group_translate_ranks");
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  return job;
}

/// This machine, as far as shared memory goes: its name, and one number a boot.
std::string machine_name() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check_mpi(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return name.data() + ("/" + boot);
}

/// Shared memory of the ranks of this machine.
class MpiWindow : public Window {
 public:
  MpiWindow(std::vector<std::byte*> parts, std::size_t bytes, std::vector<SharedMemory> memory)
      : Window(std::move(parts), bytes), memory_(std::move(memory)) {}

 private:
  std::vector<SharedMemory> memory_;
};

/// What a rank tells the others of its part of a window.
struct WindowOffer {
  std::array<char, 256> machine{};
  std::array<char, 64> name{};
};

/// Where the peer's part is mapped now, or nullptr.
std::byte* try_open(const WindowOffer& offer, std::size_t bytes, std::vector<SharedMemory>& memory) {
  try {
    memory.push_back(SharedMemory::open(offer.name.data(), bytes));
    return memory.back().data();
  } catch (const Error&) {
    return nullptr;
  }
}

/// A rank of an MPI communicator; every piece is a message, MPI_Isend to MPI_Irecv.
class MpiTransport : public Transport {
 public:
  MpiTransport(std::unique_ptr<MpiJob> job, MPI_Comm handle) : job_(std::move(job)), communicator_(handle) {
    check_mpi(MPI_Comm_rank(handle, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(handle, &size_), "MPI_Comm_size");
    job_ranks_ = job_ranks_of(handle, size_);
  }
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
  void check_peers() override {}  // an abort takes the whole job down
  Shortfall lack_of(std::span<const int> peers) const override;
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device device) override;
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
  void begin_part(Operation& operation, std::byte* data, const Part& part);
  void check_status(const Part& part, const MPI_Status& status) const;
  static void take_back(Operation& operation);
  int job_rank(int rank) const { return job_ranks_[static_cast<std::size_t>(rank)]; }

  std::unique_ptr<MpiJob> job_;  ///< Of the world only; ends last.
  Communicator communicator_;
  int rank_ = 0, size_ = 1;
  std::vector<int> job_ranks_;
  std::uint64_t last_id_ = 0;
  std::deque<Operation> operations_;
  std::vector<int> indices_;
  std::vector<MPI_Status> statuses_;
};

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

void MpiTransport::begin_part(Operation& operation, std::byte* data, const Part& part) {
  operation.parts.push_back(part);
  MPI_Request& request = operation.requests.emplace_back(MPI_REQUEST_NULL);
  if (part.receives) {
    check_mpi(MPI_Irecv(data, part.bytes, MPI_BYTE, part.peer, kTag, communicator_.get(), &request), "MPI_Irecv");
  } else {
    check_mpi(MPI_Isend(data, part.bytes, MPI_BYTE, part.peer, kTag, communicator_.get(), &request), "MPI_Isend");
  }
}

void MpiTransport::begin(Operation& operation, const Message& message, bool receives) {
  for (const Piece& piece : message.pieces) {
    for (std::size_t at = 0; at < piece.bytes; at += kLongestMessage) {
      const std::size_t bytes = std::min(kLongestMessage, piece.bytes - at);
      begin_part(operation, piece.data + at, {message.peer, static_cast<int>(bytes), receives});
    }
  }
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
    fail(ErrorCode::kInternal, "mpi transport: rank ", job_rank(rank_), " expects a piece of ", part.bytes,
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

// A peer is mapped where both have opened the other's memory: containers of one machine may not share /dev/shm.
std::unique_ptr<Window> MpiTransport::make_window(std::size_t bytes, Device device) {
  check(device == kCpu, "mpi transport: maps no device's memory; on a device ranks are threads of the local transport");
  const Phase phase{.name = "making a window"};
  const auto ranks = static_cast<std::size_t>(size_);
  // No two live transports of a process have one address; a name is only used until all have opened it.
  const std::string name =
      "/coe-" + std::to_string(getpid()) + "-" + std::to_string(reinterpret_cast<std::uintptr_t>(this));
  SharedMemory::forget(name);  // of a killed process that had this one's number
  std::vector<SharedMemory> memory;
  memory.push_back(SharedMemory::create(name, bytes));
  WindowOffer mine;
  machine_name().copy(mine.machine.data(), mine.machine.size() - 1);
  name.copy(mine.name.data(), mine.name.size() - 1);
  std::vector<WindowOffer> offers(ranks);
  all_gather<WindowOffer>({this}, {&mine, 1}, offers, phase);

  std::vector<std::byte*> parts(ranks, nullptr);
  std::vector<std::uint8_t> opened(ranks, 0), all(ranks * ranks);
  for (std::size_t peer = 0; peer < ranks; ++peer) {
    if (offers[peer].machine != mine.machine) continue;
    parts[peer] = std::cmp_equal(peer, rank_) ? memory.front().data() : try_open(offers[peer], bytes, memory);
    opened[peer] = parts[peer] != nullptr ? 1 : 0;
  }
  all_gather<std::uint8_t>({this}, opened, all, phase);
  SharedMemory::forget(name);
  for (std::size_t peer = 0; peer < ranks; ++peer) {
    if (all[peer * ranks + static_cast<std::size_t>(rank_)] == 0) parts[peer] = nullptr;
  }
  return std::make_unique<MpiWindow>(std::move(parts), bytes, std::move(memory));
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

void MpiTransport::abort(const Error& error) noexcept {
  MPI_Abort(MPI_COMM_WORLD, error.code() == ErrorCode::kBadInput ? 2 : 1);
}

std::unique_ptr<Transport> MpiTransport::split(int color, int key) {
  check(color >= 0, "mpi transport: color is ", color, ", must be at least 0");
  // Once all have come here, MPI_Comm_split has nobody to wait for.
  barrier({this}, {.name = "splitting a group"});
  const Watchdog watchdog("mpi transport: MPI_Comm_split", kDefaultDeadline);
  MPI_Comm handle = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(communicator_.get(), color, key, &handle), "MPI_Comm_split");
  return std::make_unique<MpiTransport>(nullptr, handle);
}

}  // namespace

std::string_view mpi_missing() { return ""; }

std::unique_ptr<Transport> make_mpi_transport() {
  auto job = std::make_unique<MpiJob>();
  const MPI_Comm handle = duplicate_world();
  return std::make_unique<MpiTransport>(std::move(job), handle);
}

}  // namespace coe
