#include "runtime/ranks/posted_sums.h"

#include <algorithm>
#include <chrono>

namespace coe {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

PostedSums::~PostedSums() {
  for (Mail& mail : under_way_) mail.collective.give_up();
}

void PostedSums::begin(std::span<float> values, const Phase& phase) { waiting_.push_back({values, phase}); }

void PostedSums::advance() {
  for (std::size_t known = under_way_.size(); known > 0; --known) {
    Mail& first = under_way_.front();
    first.collective.done().get();
    add_up(first);
    free_.splice(free_.end(), under_way_, under_way_.begin());
    summed_(first.posted);
  }
  while (!waiting_.empty() && under_way_.size() < kAtOnce) {
    post(waiting_.front());
    waiting_.pop_front();
  }
}

void PostedSums::post(const Sum& sum) {
  const auto ranks = static_cast<std::size_t>(group_.size());
  const std::size_t each = sum.values.size() / ranks;
  if (free_.empty()) {
    free_.emplace_back().terms = Buffer(static_cast<std::size_t>(numbers_) * sizeof(float));
  }
  under_way_.splice(under_way_.end(), free_, free_.begin());
  Mail& mail = under_way_.back();
  mail.counts.assign(ranks, each);
  mail.values = sum.values;
  mail.posted = now();
  const std::span<std::byte> terms(mail.terms.data(), sum.values.size_bytes());
  mail.collective.all_to_all(group_, sizeof(float), std::as_bytes(sum.values), mail.counts, terms, mail.counts,
                             sum.phase);
}

void PostedSums::add_up(const Mail& mail) const {
  const auto ranks = static_cast<std::size_t>(group_.size()), own = static_cast<std::size_t>(group_.rank());
  const std::size_t each = mail.values.size() / ranks;
  const std::span<const float> terms(reinterpret_cast<const float*>(mail.terms.data()), mail.values.size());
  const std::span<float> sums = mail.values.subspan(own * each, each);
  std::ranges::copy(terms.first(each), sums.begin());
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    const float* const more = terms.data() + rank * each;
    for (std::size_t i = 0; i < each; ++i) sums[i] += more[i];
  }
}

}  // namespace coe
