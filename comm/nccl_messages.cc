#include "comm/nccl_messages.h"

#include <nccl.h>

#include <algorithm>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/wait.h"

namespace coe {
namespace {

constexpr Phase kConnecting{"connecting devices by NCCL"}, kParting{"parting from NCCL"};

void expect(ncclResult_t result, const char* call, ncclComm_t communicator) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  fail(result == ncclRemoteError ? ErrorCode::kPeer : ErrorCode::kSystem, call, ": ", ncclGetErrorString(result), ": ",
       ncclGetLastError(communicator));
}

ncclResult_t state_of(ncclComm_t communicator) {
  ncclResult_t state = ncclSuccess;
  expect(ncclCommGetAsyncError(communicator, &state), "ncclCommGetAsyncError", communicator);
  return state;
}

/// That NCCL has done on the host what it was last asked for, which connects peers that it talks to for the first time.
class AwaitedNccl : public Awaited {
 public:
  AwaitedNccl(Transport& transport, ncclComm_t communicator, const Phase& phase)
      : transport_(transport), communicator_(communicator), phase_(phase) {}
  bool done() override {
    const ncclResult_t state = state_of(communicator_);
    if (state == ncclSuccess) return true;
    if (state != ncclInProgress) {
      fail(ErrorCode::kPeer, name_of_rank(transport_.lack_of({}).rank, transport_.places()), " in ", phase_.text(),
           ": NCCL: ", ncclGetErrorString(state), ": ", ncclGetLastError(communicator_));
    }
    transport_.check_peers();
    return false;
  }
  Shortfall lack() override {
    std::vector<int> others;
    for (int peer = 0; peer < transport_.size(); ++peer) {
      if (peer != transport_.rank()) others.push_back(peer);
    }
    return transport_.lack_of(others);
  }
  void give_up() override {}
  std::string seen(const Shortfall& /*lack*/) override { return "NCCL does not reach them"; }

 private:
  Transport& transport_;
  ncclComm_t communicator_;
  const Phase& phase_;
};

/// Calls between which nothing begins.
class NcclGroup {
 public:
  NcclGroup() { expect(ncclGroupStart(), "ncclGroupStart", nullptr); }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup() {
    if (open_) ncclGroupEnd();
  }
  void end(ncclComm_t communicator) {
    open_ = false;
    expect(ncclGroupEnd(), "ncclGroupEnd", communicator);
  }

 private:
  bool open_ = true;
};

class NcclMessages : public DeviceMessages {
 public:
  NcclMessages(const Group& group, Device device, const NcclOptions& options);
  ~NcclMessages() override;

  Ticket post(std::span<const Message> sends, std::span<const Message> receives, const Stream& stream,
              const Phase& phase) override;
  Ticket all_gather(const Tensor& mine, const Tensor& all, const Stream& stream, const Phase& phase) override;
  Ticket reduce_scatter_sum(const Tensor& values, const Stream& stream, const Phase& phase) override;
  void follow(Ticket ticket, const Stream& stream) override;
  void check() const override;
  std::string_view name() const override { return "NCCL"; }

 private:
  struct Operation {
    std::uint64_t id = 0;  ///< 0: free
    Event done;
  };

  void take_back() noexcept override;
  void connect();
  void part();
  Operation& free_operation();
  void settle(const Phase& phase) const;
  /// Gives NCCL what calls() asks for, after what `stream` has been given.
  template <class Calls>
  Ticket begin(const Stream& stream, const Phase& phase, std::size_t bytes_out, std::size_t bytes_in,
               const Calls& calls);
  ncclComm_t communicator() const {
    if (communicator_ == nullptr) fail(ErrorCode::kPeer, "nccl: its messages were taken back");
    return communicator_;
  }
  cudaStream_t queue() const { return static_cast<cudaStream_t>(stream_.handle()); }

  Group group_;
  Stream stream_;
  Event ready_;
  bool own_;
  ncclComm_t communicator_;
  std::list<Operation> operations_;
  std::uint64_t last_id_ = 0;
};

std::size_t bytes_of(std::span<const Message> messages) {
  std::size_t bytes = 0;
  for (const Message& message : messages) {
    for (const Piece& piece : message.pieces) bytes += piece.bytes;
  }
  return bytes;
}

NcclMessages::NcclMessages(const Group& group, Device device, const NcclOptions& options)
    : DeviceMessages(options.sizes_are_fixed),
      group_(group),
      stream_(device),
      ready_(device),
      own_(options.communicator == nullptr),
      communicator_(static_cast<ncclComm_t>(options.communicator)) {
  group_.messages = this;  // whom a wait that fails takes back
  if (own_) connect();
  settle(kConnecting);
}

void NcclMessages::connect() {
  ncclUniqueId id{};
  if (group_.rank() == 0) expect(ncclGetUniqueId(&id), "ncclGetUniqueId", nullptr);
  broadcast(group_, std::as_writable_bytes(std::span(&id, 1)), 0, kConnecting);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  expect(ncclCommInitRankConfig(&communicator_, group_.size(), id, group_.rank(), &config), "ncclCommInitRankConfig",
         nullptr);
}

NcclMessages::~NcclMessages() {
  if (communicator_ == nullptr || !own_) return;
  try {
    if (std::uncaught_exceptions() == 0) part();
  } catch (const std::exception&) {
    // What did not part in peace is taken back.
  }
  take_back();
}

void NcclMessages::part() {
  expect(ncclCommFinalize(communicator_), "ncclCommFinalize", communicator_);
  settle(kParting);
  if (communicator_ != nullptr) ncclCommDestroy(std::exchange(communicator_, nullptr));
}

// One that was lent is its owner's to end.
void NcclMessages::take_back() noexcept {
  const ncclComm_t communicator = std::exchange(communicator_, nullptr);
  if (own_ && communicator != nullptr) ncclCommAbort(communicator);
}

void NcclMessages::settle(const Phase& phase) const {
  AwaitedNccl awaited(*group_.transport, communicator(), phase);
  wait(group_, awaited, 0, phase);
}

void NcclMessages::check() const {
  const ncclResult_t state = state_of(communicator());
  if (state == ncclSuccess || state == ncclInProgress) return;
  fail(ErrorCode::kPeer, "nccl: ", ncclGetErrorString(state), ": ", ncclGetLastError(communicator_));
}

NcclMessages::Operation& NcclMessages::free_operation() {
  for (Operation& operation : operations_) {
    if (operation.id == 0) return operation;
  }
  return operations_.emplace_back(0, Event(stream_.device()));
}

template <class Calls>
Ticket NcclMessages::begin(const Stream& stream, const Phase& phase, std::size_t bytes_out, std::size_t bytes_in,
                           const Calls& calls) {
  const std::uint64_t record = group_.recorder == nullptr ? 0 : group_.recorder->begin(phase, bytes_out, bytes_in);
  ready_.record(stream);
  ready_.hold(stream_);
  NcclGroup together;
  calls(communicator());
  together.end(communicator());
  settle(phase);
  Operation& operation = free_operation();
  operation.id = ++last_id_;
  operation.done.record(stream_);
  return {operation.id, record};
}

Ticket NcclMessages::post(std::span<const Message> sends, std::span<const Message> receives, const Stream& stream,
                          const Phase& phase) {
  return begin(stream, phase, bytes_of(sends), bytes_of(receives), [&](ncclComm_t communicator) {
    const auto for_each_piece = [](std::span<const Message> messages, const auto& visit) {
      for (const Message& message : messages) {
        for (const Piece& piece : message.pieces) {
          if (piece.bytes > 0) visit(piece, message.peer);
        }
      }
    };
    for_each_piece(receives, [&](const Piece& piece, int peer) {
      expect(ncclRecv(piece.data, piece.bytes, ncclInt8, peer, communicator, queue()), "ncclRecv", communicator);
    });
    for_each_piece(sends, [&](const Piece& piece, int peer) {
      expect(ncclSend(piece.data, piece.bytes, ncclInt8, peer, communicator, queue()), "ncclSend", communicator);
    });
  });
}

Ticket NcclMessages::all_gather(const Tensor& mine, const Tensor& all, const Stream& stream, const Phase& phase) {
  return begin(stream, phase, mine.bytes(), all.bytes(), [&](ncclComm_t communicator) {
    expect(ncclAllGather(mine.raw(), all.raw(), mine.bytes(), ncclInt8, communicator, queue()), "ncclAllGather",
           communicator);
  });
}

Ticket NcclMessages::reduce_scatter_sum(const Tensor& values, const Stream& stream, const Phase& phase) {
  const std::int64_t each = values.elements() / group_.size();
  const Tensor mine = values.rows(group_.rank() * each, each);
  return begin(stream, phase, values.bytes(), mine.bytes(), [&](ncclComm_t communicator) {
    expect(ncclReduceScatter(values.raw(), mine.raw(), static_cast<std::size_t>(each), ncclFloat32, ncclSum,
                             communicator, queue()),
           "ncclReduceScatter", communicator);
  });
}

void NcclMessages::follow(Ticket ticket, const Stream& stream) {
  const auto found = std::ranges::find(operations_, ticket.id, &Operation::id);
  if (found == operations_.end() || ticket.id == 0) {
    fail(ErrorCode::kInternal, "nccl: operation ", ticket.id, " is not under way");
  }
  found->id = 0;
  found->done.hold(stream);
  if (group_.recorder != nullptr) group_.recorder->end(ticket.record, FlightState::kDone);
}

}  // namespace

std::string_view nccl_missing() { return ""; }

std::unique_ptr<DeviceMessages> make_nccl_messages(const Group& group, Device device, const NcclOptions& options) {
  return std::make_unique<NcclMessages>(group, device, options);
}

}  // namespace coe
