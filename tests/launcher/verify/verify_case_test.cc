#include "launcher/verify/verify_case.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "launcher/verify/case_file.h"
#include "runtime/files/safetensors.h"
#include "tests/ranks.h"

namespace coe {
namespace {

const std::filesystem::path kCases = std::filesystem::path(COE_SOURCE_DIR) / "tests" / "cases";

TEST(VerifyCaseOnRanks, EveryRankGetsTheSameOutcome) {
  for_each_ranks([](Transport& transport) {
    const CaseOutcome outcome = verify_case(kCases / "coe-3x2of8-no-shared.safetensors", transport, kDefaultDeadline);
    EXPECT_LE(outcome.max_error, 1e-5) << outcome.worst;
    std::vector<std::uint64_t> digests(static_cast<std::size_t>(transport.size()));
    const std::int64_t mine = static_cast<std::int64_t>(outcome.digest);
    std::vector<std::int64_t> all(static_cast<std::size_t>(transport.size()));
    all_gather<std::int64_t>({&transport}, {&mine, 1}, all, {"test"});
    for (const std::int64_t digest : all) EXPECT_EQ(digest, mine);
  });
}

/// A copy of a case with one float of one tensor changed by a thousandth of its
/// size.
std::filesystem::path damaged(const std::string& name, const std::string& tensor) {
  const SafetensorsFile file(kCases / (name + ".safetensors"));
  const auto path = std::filesystem::path(testing::TempDir()) / (name + "-" + tensor + ".safetensors");
  std::vector<NamedTensor> tensors;
  std::vector<std::byte> changed;
  for (const std::string& other : file.names()) {
    tensors.push_back({other, file.tensor(other)});
    if (other != tensor) continue;
    const Tensor& original = tensors.back().tensor;
    changed.assign(original.raw(), original.raw() + original.bytes());
    float first = 0;
    std::memcpy(&first, changed.data(), sizeof(first));
    first += 1;
    std::memcpy(changed.data(), &first, sizeof(first));
    tensors.back().tensor = Tensor(changed.data(), original.dtype(), original.shape());
  }
  write_safetensors(path, file.metadata(), tensors);
  return path;
}

TEST(VerifyCase, NamesTheTensorThatDiffers) {
  for (const std::string tensor :
       {"output", "aux_loss", "grad.input", "grad.gate.1.weight", "grad.experts.3.up_proj.weight"}) {
    const auto path = damaged("coe-3x2of8-no-shared", "expected." + tensor);
    run_local_ranks(2, [&](Transport& transport) {
      const CaseOutcome outcome = verify_case(path, transport, kDefaultDeadline);
      EXPECT_GT(outcome.max_error, 1e-4);
      EXPECT_EQ(outcome.worst, tensor);
    });
  }
}

}  // namespace
}  // namespace coe
