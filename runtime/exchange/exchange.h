#pragma once

#include <cstdint>

#include "runtime/exchange/flight.h"

namespace coe {

/// What a dispatch sends: row x[t] of x [T, D], and scalar[j] of scalar [choices] unless that is nullptr (on all ranks
/// alike), for every kept choice j of token t.
struct Departure {
  const Tensor* x = nullptr;  ///< viewed; it and scalar may change only once this rank's rows have arrived
  /// [choices] those of combine's sum; an empty tensor (on all ranks alike, and always where scalars travel) means 1.
  /// May change only after combine.
  Tensor weights;
  const Tensor* scalar = nullptr;
  bool keep = false;  ///< the rows that arrive stay until the Flight is released, for a backward
};

/// How many flights of which size to make room for at once.
struct FlightHint {
  std::int64_t rows = 0;  ///< that a rank is expected to get in one dispatch; 0: room is made when it is needed
  int arrivals = 2;       ///< dispatches whose rows are needed at once
  int results = 2;        ///< flights whose results are not yet taken
};

/// Moves rows, and one float beside each where asked, by plan over a Transport. Sums are taken in ascending expert id,
/// which gives the same bits at any number of ranks, unless an Exchange says otherwise.
class Exchange {
 public:
  virtual ~Exchange() = default;

  /// Begins a dispatch by a plan that stays until its combine is done; waits for nobody, unless room for more rows must
  /// be made, which every rank sees in the plan. Collective.
  virtual Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& phase) = 0;

  /// Bytes of rows and scalars that this rank has sent to other ranks so far.
  virtual std::int64_t bytes_sent() const = 0;
  /// How often memory that it keeps was too small.
  virtual int growths() const = 0;
};

}  // namespace coe
