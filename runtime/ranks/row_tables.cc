#include "runtime/ranks/row_tables.h"

#include "comm/posted_collective.h"
#include "kernels/memory/buffer.h"
#include "runtime/ranks/message_tables.h"
#include "runtime/ranks/stream_tables.h"

namespace coe {
namespace {

/// By messages. The iteration's own table stands apart from the one of the rounds, which is read before the next.
class HostTables : public RowTables {
 public:
  HostTables(const Group& group, std::int64_t experts) : group_(group), experts_(experts), memory_(2 * table_bytes()) {}

  void tell(const Tensor& counts, int round, const Phase& phase) override {
    collective_.all_gather(group_, std::as_bytes(counts.span<std::int32_t>()),
                           std::as_writable_bytes(table(round).span<std::int32_t>()), phase);
  }
  void tell_scores(const Phase& /*phase*/) override {}
  Tensor table(int round) const override {
    return {memory_.data() + (round > 0 ? table_bytes() : 0), DType::kI32, {group_.size(), experts_}};
  }
  Tensor scores(int /*round*/) const override { return {}; }
  Tensor score_lists(int /*round*/) const override { return {}; }

 private:
  void await_told() override { collective_.done().get(); }
  std::size_t table_bytes() const { return static_cast<std::size_t>(group_.size() * experts_) * sizeof(std::int32_t); }

  Group group_;
  std::int64_t experts_;
  Buffer memory_;
  PostedCollective collective_;
};

}  // namespace

std::unique_ptr<RowTables> make_row_tables(const Group& group, const TablesRoom& room, const Stream& stream) {
  if (stream.device() == kCpu) return std::make_unique<HostTables>(group, room.experts);
  if (group.messages != nullptr) return std::make_unique<MessageTables>(group, room, stream);
  return std::make_unique<StreamTables>(group, room, stream);
}

}  // namespace coe
