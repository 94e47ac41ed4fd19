#include <vector>

#include "runtime/config/config.h"
#include "tests/fuzz/fuzzing.h"

namespace coe {
namespace {

/// TOML has no reader without a tree, so its pieces may be larger than the text, by so much.
constexpr std::size_t kTree = 64;

/// The text of a file and, after zero bytes, settings.
void read(std::string_view input) {
  const std::string text(input.substr(0, input.find('\0')));
  std::vector<std::string> settings;
  for (std::size_t at = text.size(); at < input.size(); at += settings.back().size() + 1) {
    settings.emplace_back(input.substr(at + 1, input.find('\0', at + 1) - at - 1));
  }
  expect_read_or_refused(kTree * input.size(), [&] {
    const Config config = parse_config(text, "fuzz.toml", settings);
    expect(parse_config(to_toml(config), "again.toml") == config, "what is accepted comes back from its TOML");
  });
}

}  // namespace
}  // namespace coe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coe::read(coe::text_of(data, size));
  return 0;
}
