#include "runtime/data/maths/maths_problems.h"

#include <algorithm>
#include <optional>

#include "kernels/memory/error.h"
#include "runtime/data/maths/maths_numbers.h"
#include "runtime/data/maths/maths_words.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace coe {

namespace {

constexpr std::uint64_t kStream = 0x6d61746873;  // "maths"
constexpr std::int64_t kAscii = 128;
constexpr std::uint64_t kValidationShare = 10;
/// Independent sequences of random numbers within one problem.
enum Part : std::uint64_t { kNumbers, kWords, kTexts };

RandomKey part_of(RandomKey problem, Part part) { return {problem.seed, problem.stream + part}; }

/// `text` with its slots filled; none where an equation does not come out.
std::optional<std::string> fill_in(std::string_view text, MathsNumbers& numbers, RandomKey words) {
  std::string filled;
  while (!text.empty()) {
    const std::size_t open = std::min(text.find('{'), text.size());
    filled += text.substr(0, open);
    text.remove_prefix(open);
    if (text.empty()) break;
    const std::size_t close = text.find('}');
    const std::string_view slot = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
    if (slot.find('=') != slot.npos) {
      const std::optional<std::string> equation = numbers.write_out(slot);
      if (!equation) return std::nullopt;
      filled += *equation;
    } else if (slot.size() == 1 && slot[0] >= 'a' && slot[0] <= 'z') {
      filled += std::to_string(numbers.at(slot[0]));
    } else {
      filled += maths_word(slot, words);
    }
  }
  return filled;
}

Split split_of(std::string_view name, const std::string& numbers) {
  const std::string content = std::string(name) + ' ' + numbers;
  return XXH64(content.data(), content.size(), 0) % kValidationShare == 0 ? Split::kValidation : Split::kTrain;
}

/// One attempt; none where the numbers do not come out or belong to the other split.
std::optional<MathsProblem> attempt(RandomKey key, Split split) {
  const RandomKey texts = part_of(key, kTexts);
  const RandomKey words = part_of(key, kWords);
  const MathsTemplate& drawn = maths_templates()[random_below(texts, 0, maths_templates().size())];
  std::optional<MathsNumbers> numbers = MathsNumbers::draw(drawn.numbers, part_of(key, kNumbers));
  if (!numbers || split_of(drawn.name, numbers->text()) != split) return std::nullopt;

  const auto question = fill_in(drawn.questions[random_below(texts, 1, drawn.questions.size())], *numbers, words);
  const auto steps = fill_in(drawn.answers[random_below(texts, 2, drawn.answers.size())], *numbers, words);
  if (!steps) return std::nullopt;
  return MathsProblem{drawn.name, numbers->text(), *question,
                      *steps + "\n#### " + std::to_string(numbers->at(numbers->last()))};
}

}  // namespace

const std::vector<MathsTemplate>& maths_templates() {
  static const std::vector<MathsTemplate> all = [] {
    std::vector<MathsTemplate> joined;
    for (const auto part : {maths_money_templates(), maths_measure_templates(), maths_count_templates()})
      joined.insert(joined.end(), part.begin(), part.end());
    return joined;
  }();
  return all;
}

MathsProblem draw_maths_problem(RandomKey key, std::uint64_t counter, Split split) {
  const std::uint64_t seed = random_bits(key, counter);
  for (std::uint64_t stream = 0;; stream += kTexts + 1)
    if (std::optional<MathsProblem> problem = attempt({seed, stream}, split)) return *std::move(problem);
}

std::string maths_problem(RandomKey key, std::uint64_t counter, Split split) {
  const MathsProblem problem = draw_maths_problem(key, counter, split);
  return problem.question + '\n' + problem.answer;
}

MathsSource::MathsSource(std::uint64_t seed, Split split, std::int64_t vocab, Documents documents)
    : key_{seed, kStream + (split == Split::kTrain ? 0U : 1U)}, split_(split), vocab_(vocab), documents_(documents) {
  check(vocab >= kAscii, "maths problems: model.vocab is ", vocab, ", must be at least ", kAscii);
}

void MathsSource::read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const {
  std::ranges::fill(marks, std::uint8_t{0});
  const RandomKey sequence{random_bits(key_, static_cast<std::uint64_t>(index)), key_.stream};
  std::size_t filled = 0;
  for (std::uint64_t counter = 0; filled < tokens.size(); ++counter) {
    const std::string text = maths_problem(sequence, counter, split_) + "\n\n";
    const std::size_t length = std::min(text.size(), tokens.size() - filled);
    std::copy_n(text.begin(), length, tokens.begin() + static_cast<std::ptrdiff_t>(filled));
    if (marked() && !marks.empty()) marks[filled] = kBegins;
    filled += length;
  }
}

}  // namespace coe
