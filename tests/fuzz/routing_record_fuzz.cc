#include <numeric>

#include "runtime/routing/routing_record_file.h"
#include "tests/fuzz/fuzzing.h"

namespace coe {
namespace {

void read(std::string_view bytes) {
  const MemoryFile file(bytes);
  expect_read_or_refused(bytes.size(), [&] {
    const RoutingRecord record = read_routing_record(file.path());
    const auto numbers = static_cast<std::size_t>(record.layers * record.iterations * record.experts);
    expect(record.load.size() == numbers, "there is a load of each expert");
    const std::int64_t most = record.tokens * record.experts;
    for (std::int64_t layer = 0; layer < record.layers; ++layer) {
      for (std::int64_t t = 0; t < record.iterations; ++t) {
        const auto load = record.load_of(layer, t);
        const std::int64_t sum = std::accumulate(load.begin(), load.end(), record.dropped_of(layer, t));
        expect(sum >= 0 && sum <= most, "a token chooses an expert at most once");
      }
    }
  });
}

}  // namespace
}  // namespace coe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coe::read(coe::text_of(data, size));
  return 0;
}
