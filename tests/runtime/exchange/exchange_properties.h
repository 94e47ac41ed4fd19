#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "kernels/routing/rows.h"
#include "runtime/exchange/exchange.h"
#include "tests/runtime/routing/routed_pass.h"

namespace coe {

/// Makes an Exchange for a group and rows of `hidden` floats; says what it is held to.
struct ExchangeFactory {
  std::function<std::unique_ptr<Exchange>(Group group, std::int64_t hidden)> make;
  ExchangeOrder order = ExchangeOrder::kExact;  ///< exact: sums to the bit; partial sums: within 1e-5
};

/// One case on one rank.
class CaseOnRank {
 public:
  CaseOnRank(ExchangeCase one, Transport& world) : at_(std::move(one), world) {}

  /// Admission, plan, dispatch and combine of all iterations; then backward, with a scalar beside each row. Throws
  /// what does not hold.
  void run(const ExchangeFactory& factory) {
    order_ = factory.order;
    try {
      run_passes(factory);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}; {}", error.what(), at_.one.text()));
    }
  }

 private:
  void run_passes(const ExchangeFactory& factory) {
    PassRouter router(at_, arena_);
    std::vector<RoutedPass> passes;
    for (std::int64_t t = 0; t < at_.one.layer.iterations; ++t) passes.push_back(router.route(t));
    const auto exchange = factory.make(at_.group, at_.one.layer.hidden);
    for_each_flock(passes, [&](std::span<RoutedPass> flock) { fly(flock, false, *exchange); });
    std::ranges::reverse(passes);
    for_each_flock(passes, [&](std::span<RoutedPass> flock) { fly(flock, true, *exchange); });
  }

  /// As many passes at a time as the case says.
  template <class Fly>
  void for_each_flock(std::vector<RoutedPass>& passes, const Fly& fly_one) {
    const auto together = static_cast<std::size_t>(at_.one.together);
    for (std::size_t first = 0; first < passes.size(); first += together) {
      fly_one(std::span(passes).subspan(first, std::min(together, passes.size() - first)));
    }
  }

  /// Sends all passes' rows at once, lets the experts work, and brings the rows back at once.
  void fly(std::span<RoutedPass> flock, bool with_scalar, Exchange& exchange) {
    const std::int64_t bytes_before = exchange.bytes_sent();
    std::vector<Tensor> x, scalars;
    std::vector<Flight> flights;
    for (const RoutedPass& pass : flock) {
      x.push_back(rows_of(pass));
      scalars.push_back(scalars_of(pass));
    }
    for (std::size_t i = 0; i < flock.size(); ++i) {
      const Tensor weights = with_scalar ? Tensor() : flock[i].routing.weight;
      flights.push_back(exchange.begin(flock[i].plan,
                                       {.x = &x[i], .weights = weights, .scalar = with_scalar ? &scalars[i] : nullptr},
                                       {"dispatch"}));
    }
    for (std::size_t i = 0; i < flock.size(); ++i) {
      const ExpertRows arrived = flights[i].arrived().get();
      require_arrived(flock[i], arrived, with_scalar);
      apply_experts(arrived, flights[i].results());
    }
    for (Flight& flight : flights) flight.send_back({"combine"});
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < flock.size(); ++i) {
      std::ranges::fill(x[i].span<float>(), std::numeric_limits<float>::quiet_NaN());
      std::int64_t told = 0;
      flights[i]
          .combine({.sum = x[i], .scalar = with_scalar ? &scalars[i] : nullptr},
                   [&](std::int64_t first, std::int64_t count) {
                     require(first == told, "tokens are told of out of order");
                     require_complete(x[i].rows(first, count));
                     told += count;
                   })
          .get();
      require(told == x[i].extent(0), "not every token was told of");
      require_returned(flock[i], x[i], scalars[i], with_scalar);
      const std::int64_t travelled = travelling_bytes(flock[i], with_scalar);
      require(flights[i].bytes_sent() == travelled, "a flight counts other bytes than travelled");
      bytes += travelled;
    }
    require(exchange.bytes_sent() - bytes_before == bytes, "bytes_sent counts other bytes than travelled");
  }

  void require_complete(const Tensor& sums) const {
    require(std::ranges::none_of(sums.span<float>(), [](float sum) { return std::isnan(sum); }),
            "tokens are told of before their sums are complete");
  }

  Tensor rows_of(const RoutedPass& pass) {
    const std::int64_t hidden = at_.one.layer.hidden;
    const Tensor x = arena_.make<float>({at_.one.tokens[at_.rank], hidden});
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      x.data<float>()[i] = row_value(at_.first_token + i / hidden, i % hidden, pass.iteration);
    }
    return x;
  }

  Tensor scalars_of(const RoutedPass& pass) {
    std::vector<float> values;
    for (std::size_t t = 0; t < pass.by_rank[at_.rank].size(); ++t) {
      const std::int64_t token = at_.first_token + static_cast<std::int64_t>(t);
      for (const Choice& choice : pass.by_rank[at_.rank][t]) {
        values.push_back(scalar_value(token, choice.expert, pass.iteration));
      }
    }
    return tensor_of<float>({std::ssize(values)}, values, arena_);
  }

  /// Each local expert's rows by (source, token), then its padding.
  void require_arrived(const RoutedPass& pass, const ExpertRows& arrived, bool with_scalar) const {
    std::vector<float> rows, scalars;
    std::vector<std::int32_t> offsets{0};
    for (const std::int64_t e : at_.placement.experts_of(at_.group.rank())) {
      std::int64_t token = 0, count = 0;
      for (const std::vector<Choice>& choices : pass.by_rank | std::views::join) {
        for (const Choice& choice : choices) {
          if (!choice.kept || choice.expert != e) continue;
          for (std::int64_t d = 0; d < at_.one.layer.hidden; ++d) rows.push_back(row_value(token, d, pass.iteration));
          if (with_scalar) scalars.push_back(scalar_value(token, e, pass.iteration));
          ++count;
        }
        ++token;
      }
      const std::int64_t all = pass.padded_rows > 0 ? pass.padded_rows : count;
      rows.resize(rows.size() + static_cast<std::size_t>((all - count) * at_.one.layer.hidden));
      if (with_scalar) scalars.resize(scalars.size() + static_cast<std::size_t>(all - count));
      offsets.push_back(offsets.back() + static_cast<std::int32_t>(all));
    }
    const std::string where = fmt::format("at rank {} in iteration {}", at_.rank, pass.iteration);
    require_equal("offsets " + where, values_of<std::int32_t>(arrived.offsets), offsets);
    require_equal("rows " + where, values_of<float>(arrived.rows), rows);
    require_equal("scalars " + where, values_of<float>(arrived.scalar), scalars);
  }

  void apply_experts(const ExpertRows& rows, const ExpertRows& results) const {
    const ExpertIds& mine = at_.placement.experts_of(at_.group.rank());
    const auto* offsets = rows.offsets.data<std::int32_t>();
    for (std::int64_t local = 0; local < mine.count(); ++local) {
      const auto id = static_cast<float>(mine[local]);
      const std::int64_t first = offsets[local], count = offsets[local + 1] - first;
      std::ranges::transform(rows.rows.rows(first, count).span<float>(), results.rows.rows(first, count).data<float>(),
                             [&](float value) { return value * (id + 1); });
      if (rows.scalar.elements() == 0) continue;
      std::ranges::transform(rows.scalar.rows(first, count).span<float>(),
                             results.scalar.rows(first, count).data<float>(), [&](float value) { return value + id; });
    }
  }

  /// The sums: what experts make of each token, added up in ascending expert id.
  void require_returned(const RoutedPass& pass, const Tensor& sum, const Tensor& scalars, bool with_scalar) {
    const std::int64_t hidden = at_.one.layer.hidden;
    const Tensor rows = arena_.make<float>({pass.routing.choices(), hidden});
    std::vector<const float*> row_of;
    std::vector<float> returned;
    std::int32_t j = 0;
    for (std::size_t t = 0; t < pass.by_rank[at_.rank].size(); ++t) {
      const std::int64_t token = at_.first_token + static_cast<std::int64_t>(t);
      for (const Choice& choice : pass.by_rank[at_.rank][t]) {
        const auto id = static_cast<float>(choice.expert);
        for (std::int64_t d = 0; d < hidden; ++d) {
          rows.data<float>()[j * hidden + d] = row_value(token, d, pass.iteration) * (id + 1);
        }
        row_of.push_back(choice.kept ? rows.data<float>() + j * hidden : nullptr);
        returned.push_back(choice.kept ? scalar_value(token, choice.expert, pass.iteration) + id : 0);
        ++j;
      }
    }
    const Tensor expected = arena_.make<float>(sum.shape());
    combine_rows(row_of, pass.routing.offsets, with_scalar ? Tensor() : pass.routing.weight, expected);
    const std::string where = fmt::format("at rank {} in iteration {}", at_.rank, pass.iteration);
    require_sum("sum " + where, values_of<float>(sum), values_of<float>(expected));
    if (with_scalar) require_equal("returned scalars " + where, values_of<float>(scalars), returned);
  }

  /// To the bit, or within 1e-5 of the larger of 1 and what is expected where ranks add up first.
  void require_sum(const std::string& what, const std::vector<float>& sum, const std::vector<float>& expected) const {
    if (order_ == ExchangeOrder::kExact) return require_equal(what, sum, expected);
    const bool near = std::ranges::equal(sum, expected, [](float got, float wanted) {
      return std::abs(got - wanted) <= 1e-5F * std::max(1.0F, std::abs(wanted));
    });
    if (!near) require(false, fmt::format("{} is {}, must be {}", what, sum, expected));
  }

  /// Of this rank's choices with other ranks' experts, and of other ranks' choices with its own, which come back.
  std::int64_t travelling_bytes(const RoutedPass& pass, bool with_scalar) const {
    std::int64_t floats = 0;
    for (std::size_t source = 0; source < pass.by_rank.size(); ++source) {
      for (const std::vector<Choice>& token : pass.by_rank[source]) {
        std::set<std::size_t> holders;
        for (const Choice& choice : token) {
          const auto holder = static_cast<std::size_t>(at_.placement.rank_of(choice.expert));
          if (!choice.kept || source == holder || (source != at_.rank && holder != at_.rank)) continue;
          floats += choice_floats(holders.insert(holder).second, source == at_.rank, with_scalar);
        }
      }
    }
    return 4 * floats;
  }

  /// A row and its scalar a choice. Where ranks add up first: a row for the first choice of a token with a rank, and
  /// with every choice the token's number and a scalar or weight; of the latter only scalars come back.
  std::int64_t choice_floats(bool first_with_rank, bool leaves_home, bool with_scalar) const {
    const std::int64_t hidden = at_.one.layer.hidden;
    if (order_ == ExchangeOrder::kExact) return hidden + (with_scalar ? 1 : 0);
    return (first_with_rank ? hidden : 0) + (leaves_home || with_scalar ? 2 : 0);
  }

  CaseAtRank at_;
  ExchangeOrder order_ = ExchangeOrder::kExact;
  Arena arena_;
};

}  // namespace coe
