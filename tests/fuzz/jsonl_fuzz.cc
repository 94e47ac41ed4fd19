#include <vector>

#include "runtime/data/jsonl_file.h"
#include "tests/fuzz/fuzzing.h"

namespace coe {
namespace {

void read(std::string_view bytes, std::int64_t vocab) {
  const MemoryFile file(bytes);
  DataConfig data;
  data.documents = Documents::kSeparate;
  data.loss_fields = {"answer"};
  expect_read_or_refused(bytes.size(), [&] {
    const auto text = open_jsonl_file(file.path(), data, vocab);
    expect(text->size() > 0 && std::cmp_less_equal(text->size(), bytes.size()), "there is text, of the file");
    std::vector<std::int32_t> tokens(1);
    std::vector<std::uint8_t> marks(1);
    for (std::int64_t i = 0; i < text->size(); ++i) {
      text->copy(i, tokens, marks);
      expect(marks[0] <= (kBegins | kUncounted), "marks are known ones");
      expect(tokens[0] >= 0 && tokens[0] < vocab, "tokens are in the vocabulary");
    }
  });
}

}  // namespace
}  // namespace coe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coe::read(coe::text_of(data, size), 256);
  coe::read(coe::text_of(data, size), 100);
  return 0;
}
