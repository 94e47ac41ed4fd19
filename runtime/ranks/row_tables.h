#pragma once

#include <cstdint>
#include <memory>

#include "comm/group.h"
#include "comm/task.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// How the ranks of a group tell one another, inside a pass, how many rows they have for each expert: once an
/// iteration, and once in each further round in which places are asked for. One thing is told at a time, by all ranks
/// in one order. Where the host cannot read what is told, scores may be told as well.
class RowTables {
 public:
  virtual ~RowTables() = default;

  /// Begins to tell counts int32 [1, N], which stay until they are told, in a round. Collective.
  virtual void tell(const Tensor& counts, int round, const Phase& phase) = 0;
  /// Begins to tell what was put into scores(round) where tell() does not follow. Collective.
  virtual void tell_scores(const Phase& phase) = 0;

  class Told : public Need<Told> {
   public:
    explicit Told(RowTables& tables) : tables_(&tables) {}
    void meet() { tables_->await_told(); }
    void take() {}

   private:
    RowTables* tables_;
  };
  /// Awaited: what was told last is known to this rank. Throws what wait() throws.
  Told told() { return Told(*this); }

  /// int32 [R, N] of a round, once it is told: until the next round but one, or the iteration's end.
  virtual Tensor table(int round) const = 0;
  /// fp32 [as many choices as a rank may have], which all ranks may read once they are told, and int64 [R] where all
  /// ranks' stand; empty where ranks tell one another of scores in another way.
  virtual Tensor scores(int round) const = 0;
  virtual Tensor score_lists(int round) const = 0;

 private:
  virtual void await_told() = 0;
};

/// What tables need room for.
struct TablesRoom {
  std::int64_t experts = 0;
  std::int64_t scores = 0;  ///< of one rank's choices in a round, where places are given by score
};

/// Tables of ranks whose streams are of one kind: between hosts, by messages of the Transport; between devices, by the
/// group's messages, or by a window where there are none. Views the stream. Collective over `group`.
std::unique_ptr<RowTables> make_row_tables(const Group& group, const TablesRoom& room,
                                           const Stream& stream = host_stream());

}  // namespace coe
