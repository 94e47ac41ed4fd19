// What one rank of 512 sends, waits for and holds in one training step, as the table of CONTRIBUTING.md. The project's
// own exchange, collectives and size hints run over a Transport that counts and moves nothing between ranks. Fails
// where more than one message a peer and direction is posted, or a step has more than 1,000 rounds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/task.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/stream.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/layer_size.h"
#include "runtime/layer/part_times.h"
#include "runtime/model/model_parameters.h"
#include "runtime/model/model_size.h"
#include "runtime/ranks/deal.h"
#include "runtime/ranks/piece_collectives.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/row_tables.h"
#include "runtime/routing/admission.h"
#include "runtime/routing/router.h"

namespace coe {
namespace {

constexpr int kRanks = 512, kRank = 37;
constexpr std::int64_t kTokens = 8192;

/// What this rank gave its Transport since the last look.
struct Traffic {
  std::int64_t bytes = 0, messages = 0, rounds = 0;
};

/// Memory that no other rank sees.
class OwnWindow : public Window {
 public:
  OwnWindow(std::unique_ptr<Buffer> memory, std::size_t bytes)
      : Window(parts_of(*memory), bytes), memory_(std::move(memory)) {}

 private:
  static std::vector<std::byte*> parts_of(Buffer& memory) {
    std::vector<std::byte*> parts(kRanks, nullptr);
    parts[kRank] = memory.data();
    return parts;
  }
  std::unique_ptr<Buffer> memory_;
};

/// One rank of 512 on as many machines, whose peers all do as it does: what it gets from one is what it sent to it,
/// where the sizes are equal and small; rows stay what they were.
class CountingTransport : public Transport {
 public:
  int rank() const override { return kRank; }
  int size() const override { return kRanks; }
  Reach reach(int peer) const override { return peer == kRank ? Reach::kSelf : Reach::kMessage; }
  Ticket post(std::span<const Message> sends, std::span<const Message> receives) override {
    std::int64_t messages = 0;
    for (const Message& message : sends) messages += count(message) ? 1 : 0;
    traffic_.messages += messages;
    traffic_.rounds += messages > 0 ? 1 : 0;
    for (const Message& message : receives) mirror(message, sends);
    return {};
  }
  bool test(Ticket) override { return true; }
  Shortfall lack(Ticket) override { return {}; }
  void give_up(Ticket) override {}
  void check_peers() override {}
  Shortfall lack_of(std::span<const int>) const override { return {}; }
  void abort(const Error&) noexcept override {}
  std::unique_ptr<Transport> split(int, int) override { return std::make_unique<CountingTransport>(); }
  using Transport::make_window;
  std::unique_ptr<Window> make_window(std::size_t bytes, Device) override {
    auto memory = std::make_unique<Buffer>(bytes);
    std::memset(memory->data(), 0, std::min<std::size_t>(bytes, kSignals));
    return std::make_unique<OwnWindow>(std::move(memory), bytes);
  }

  Traffic take() { return std::exchange(traffic_, {}); }

 private:
  /// More than the numbers in front of a window's rows take; rows need not be zero.
  static constexpr std::size_t kSignals = std::size_t{1} << 20;
  static constexpr std::size_t kSmall = std::size_t{1} << 16;

  static std::size_t bytes_of(const Message& message) {
    std::size_t bytes = 0;
    for (const Piece& piece : message.pieces) bytes += piece.bytes;
    return bytes;
  }
  /// False for what does not travel.
  bool count(const Message& message) {
    const std::size_t bytes = bytes_of(message);
    if (message.peer == kRank || bytes == 0) return false;
    traffic_.bytes += static_cast<std::int64_t>(bytes);
    return true;
  }
  static void mirror(const Message& received, std::span<const Message> sends) {
    const auto sent = std::ranges::find(sends, received.peer, &Message::peer);
    if (sent == sends.end() || sent->pieces.size() != 1 || received.pieces.size() != 1) return;
    const Piece &from = sent->pieces[0], &to = received.pieces[0];
    if (from.bytes == to.bytes && from.bytes <= kSmall) std::memcpy(to.data, from.data, to.bytes);
  }

  Traffic traffic_;
};

ModelConfig model_at_512() {
  ModelConfig model;
  model.hidden = 1024;
  model.layers = 12;
  model.heads = 16;
  model.sequence = 1024;
  model.layer.hidden = model.hidden;
  model.layer.expert_hidden = 704;
  model.layer.experts = 1024;
  model.layer.top_k = 8;
  model.layer.iterations = 2;
  model.layer.iteration_norm = true;
  return model;
}

/// Token t chooses K neighbouring experts from K t on: every expert as often.
Routed even_routing(const LayerConfig& layer, Arena& arena) {
  const std::int64_t choices = kTokens * layer.top_k;
  Routed routed;
  routed.routing = {.experts = layer.experts,
                    .offsets = arena.make<std::int32_t>({kTokens + 1}),
                    .expert = arena.make<std::int32_t>({choices}),
                    .weight = arena.zeros<float>({choices}),
                    .score = arena.zeros<float>({choices}),
                    .chosen = arena.make<std::uint8_t>({choices}),
                    .kept = arena.make<std::uint8_t>({choices})};
  for (std::int64_t t = 0; t <= kTokens; ++t)
    routed.routing.offsets.data<std::int32_t>()[t] = static_cast<std::int32_t>(t * layer.top_k);
  for (std::int64_t j = 0; j < choices; ++j)
    routed.routing.expert.data<std::int32_t>()[j] = static_cast<std::int32_t>(j % layer.experts);
  std::ranges::fill(routed.routing.chosen.span<std::uint8_t>(), std::uint8_t{1});
  std::ranges::fill(routed.routing.kept.span<std::uint8_t>(), std::uint8_t{1});
  routed.counts = arena.make<std::int32_t>({1, layer.experts});
  count_choices(routed.routing, 0, kTokens, routed.counts.span<std::int32_t>());
  return routed;
}

/// Prints the table line by line and remembers what it adds up to.
class StepTable {
 public:
  explicit StepTable(CountingTransport& transport) : transport_(transport) {
    fmt::print("| part of a step | times | MiB | messages | rounds |\n|---|---|---|---|---|\n");
  }
  /// What was counted since the last line, which a step does so many times.
  void line(const std::string& part, std::int64_t times, bool optional = false) {
    const Traffic traffic = transport_.take();
    print(part, fmt::to_string(times), {traffic.bytes * times, traffic.messages * times, traffic.rounds * times});
    if (optional) return;
    all_.bytes += traffic.bytes * times;
    all_.messages += traffic.messages * times;
    all_.rounds += traffic.rounds * times;
    if (traffic.messages > traffic.rounds * (kRanks - 1)) fails_ = true;
  }
  void sum() { print("one step", "", all_); }
  bool fails() const { return fails_ || all_.rounds > kMostRounds; }

 private:
  static constexpr std::int64_t kMostRounds = 1000;
  static void print(const std::string& part, const std::string& times, const Traffic& sum) {
    fmt::print("| {} | {} | {:.1f} | {} | {} |\n", part, times, static_cast<double>(sum.bytes) / (1 << 20),
               sum.messages, sum.rounds);
  }

  CountingTransport& transport_;
  Traffic all_;
  bool fails_ = false;
};

/// The table of rows, and what admission would take on top.
Tensor count_plan(const LayerConfig& layer, const Routed& routed, const Group& group, std::int64_t times,
                  StepTable& table, Arena& arena) {
  const std::unique_ptr<RowTables> tables = make_row_tables(group, {.experts = layer.experts});
  tables->tell(routed.counts, 0, {"plan"});
  tables->told().get();
  table.line("gather the table of rows", times);
  const Tensor rows = arena.make<std::int32_t>({kRanks, layer.experts});
  std::ranges::copy(tables->table(0).span<std::int32_t>(), rows.data<std::int32_t>());
  for (const auto& [policy, name] :
       {std::pair(DropPolicy::kPosition, "by position"), std::pair(DropPolicy::kProbability, "by probability")}) {
    LayerConfig dropping = layer;
    dropping.drop_policy = policy;
    dropping.capacity_factor = 0.75;
    ArenaScope scratch(arena);
    Routed copy = even_routing(dropping, arena);
    Tensor kept = arena.make<std::int32_t>(rows.shape());
    std::ranges::copy(rows.span<std::int32_t>(), kept.data<std::int32_t>());
    const std::unique_ptr<Router> router = make_router(dropping);
    Admission admission(dropping, *router, *tables, group);
    FrameArena frames(std::size_t{1} << 16);
    const Tensor no_bias;
    run(admission.admit({dropping, kTokens * kRanks, no_bias, {"admission"}, arena}, copy, kept, frames));
    table.line(fmt::format("(with capacity: admission {})", name), times, true);
  }
  return rows;
}

/// Rows there and back, forward and backward.
void count_exchange(const LayerConfig& layer, const Routed& routed, const Tensor& rows, Group group, std::int64_t times,
                    StepTable& table, Arena& arena) {
  const Placement placement(layer.experts, kRanks);
  const DispatchPlan plan = make_dispatch_plan(routed.routing, rows, placement, kRank, arena);
  const std::unique_ptr<Exchange> exchange = make_exchange(ExchangeOrder::kExact, group, {layer.hidden});
  const Tensor x = arena.zeros<float>({kTokens, layer.hidden}), sum = arena.make<float>(x.shape());
  const Tensor scalar = arena.make<float>({routed.routing.choices()});
  for (const bool backward : {false, true}) {
    const std::string way = backward ? "backward " : "";
    Departure departure{.x = &x, .weights = backward ? Tensor() : routed.routing.weight};
    if (backward) departure.scalar = &routed.routing.weight;
    Flight flight = exchange->begin(plan, departure, {"dispatch"});
    flight.arrived().get();
    table.line(way + "dispatch", times);
    flight.send_back({"combine"});
    const Combination combination{.sum = sum, .scalar = backward ? &scalar : nullptr};
    const TokensSummed nobody;
    flight.combine(combination, nobody).get();
    table.line(way + "combine", times);
  }
}

std::int64_t weights_of(const std::vector<ParameterSpec>& specs, bool expert) {
  std::int64_t weights = 0;
  for (const ParameterSpec& spec : specs) weights += spec.expert == expert ? spec.shape.elements() : 0;
  return weights;
}

void count_sums(const ModelConfig& model, std::int64_t replicated, Group group, StepTable& table) {
  const Deal deal(replicated, kRanks, kRank);
  PieceCollectives ranks(group, deal.longest(), host_stream());
  Arena arena;
  const Tensor gradients = arena.zeros<float>({deal.elements()});
  const auto for_each_stretch = [&](const auto& visit) {
    for (std::int64_t i = 0; i < deal.stretches(); ++i) {
      const auto [first, count] = deal.stretch(i);
      visit(gradients.rows(deal.piece(i).first, deal.piece(i).count), gradients.rows(first, count));
    }
  };
  for_each_stretch([&](const Tensor&, const Tensor& all) { ranks.begin_sum(all, false, {"gradient reduction"}); });
  ranks.finish();
  table.line("reduce_scatter of replicated gradients", 1);
  for_each_stretch([&](const Tensor& mine, const Tensor& all) { ranks.all_gather(mine, all, {"gathering"}); });
  table.line("all_gather of these, or with shard_optimiser of weights", 1);
  std::vector<std::int64_t> routing(
      static_cast<std::size_t>(model.layers * model.layer.iterations * (model.layer.experts + 4)));
  all_reduce_sum<std::int64_t>(group, routing, {"routing report"});
  table.line("all_reduce of the routing's counters", 1);
  std::vector<double> few(kPartNames.size());
  all_reduce_sum<double>(group, few, {"loss reduction"});
  table.line("all_reduce of a few numbers (losses, norm, times, stop)", 4);
}

void print_memory(const ModelConfig& model, std::int64_t replicated, std::int64_t experts) {
  constexpr double kGiB = 1 << 30;
  const ModelSize size = model_size(model, {.tokens = kTokens, .ranks = kRanks});
  const LayerSize layer =
      layer_size(model.layer, {.tokens = kTokens, .ranks = kRanks, .elsewhere = kRanks, .in_flight = 2});
  const auto line = [&](const char* what, double bytes) { fmt::print("| {} | {:.2f} |\n", what, bytes / kGiB); };
  fmt::print("\n| memory of a rank | GiB |\n|---|---|\n");
  line("weights, gradients and moments on every rank", 16.0 * static_cast<double>(replicated));
  const Deal deal(replicated, kRanks, kRank);
  line("the same with shard_optimiser", 8.0 * static_cast<double>(deal.elements() + deal.own()));
  line("weights, gradients and moments of its 2 experts a layer", 16.0 * static_cast<double>(experts));
  line("activations and work of a step (Arena)", static_cast<double>(size.arena_bytes()));
  line("rows on their way and kept for the backward (windows)", static_cast<double>(size.window_bytes));
  line("messages under way (mail)", static_cast<double>(layer.mail_bytes));
  line("its share of a checkpoint, on disk", 12.0 * static_cast<double>(experts));
  line("rank 0's besides", 12.0 * static_cast<double>(replicated));
}

int print_step() {
  const ModelConfig model = model_at_512();
  const std::int64_t times = model.layers * model.layer.iterations;
  CountingTransport transport;
  const Group group{&transport};
  Arena arena;
  Routed routed = even_routing(model.layer, arena);
  StepTable table(transport);
  const Tensor rows = count_plan(model.layer, routed, group, times, table, arena);
  count_exchange(model.layer, routed, rows, group, times, table, arena);
  const auto specs = model_specs(model, Placement(model.layer.experts, kRanks).experts_of(kRank));
  const std::int64_t replicated = weights_of(specs, false);
  count_sums(model, replicated, group, table);
  table.sum();
  print_memory(model, replicated, weights_of(specs, true));
  return table.fails() ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace
}  // namespace coe

int main() { return coe::print_step(); }
