#pragma once

#include <optional>

#include "comm/transport.h"
#include "launcher/bench/bench_report.h"
#include "launcher/bench/benchmark.h"
#include "launcher/bench/random_traffic.h"

namespace coe {

/// How one way to exchange did, over all steps; milliseconds from the common start until the last rank was done.
struct ExchangeTimes {
  Spread dispatch_ms, combine_ms, total_ms;
};

/// How the one-copy exchange compares with another way to do the same; ratios are of times of one step each.
struct ExchangeComparison {
  ExchangeTimes times;
  Spread dispatch, combine, total;  ///< its time / the one-copy exchange's
};

/// Bytes are of rows of one exchange, there and back, all ranks together.
struct ExchangeBenchmarkResult {
  ExchangeTimes one_copy;
  std::optional<ExchangeComparison> bound;  ///< ratios are fractions of it; none where ranks are on several machines
  ExchangeComparison reference, partial_sums;
  std::optional<ExchangeComparison> alltoallv;
  double bytes_copied = 0;                      ///< every row once each way, those that stay on their rank too
  double bytes_sent = 0;                        ///< between ranks, as the exchange counted them
  double partial_sums_bytes_sent = 0;           ///< the same of partial sums, the numbers beside rows included
  double messages_sent = 0;                     ///< of the one-copy exchange, as the transport counted them
  RowsElsewhere bytes_counted, bytes_expected;  ///< by the routing, and by chance where all experts are wanted alike
};

/// Dispatch and combine of one iteration's forward, on random routing and cold caches, in turns with plain copies of
/// the same rows (CopyBound, the faster way each; where all ranks share memory), with the reference exchange, with
/// partial sums and with pack, MPI_Alltoallv, unpack.
/// Collective.
ExchangeBenchmarkResult bench_exchange(const Benchmark& benchmark, Transport& world);

BenchReport report_exchange(const Benchmark& benchmark, const ExchangeBenchmarkResult& result, int ranks);

}  // namespace coe
