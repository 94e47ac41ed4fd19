#include "runtime/model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "comm/make_transport.h"
#include "kernels/memory/random.h"
#include "runtime/model/model_parameters.h"

namespace coe {
namespace {

constexpr std::uint64_t kSeed = 4;  // of weights that leave no choice at a tie

ModelConfig small_model() {
  ModelConfig config;
  config.vocab = 32;
  config.hidden = 16;
  config.layers = 2;
  config.heads = 2;
  config.sequence = 8;
  config.layer.expert_hidden = 12;
  config.layer.experts = 8;
  config.layer.top_k = 2;
  config.layer.iterations = 2;
  config.layer.balance_loss = BalanceLoss::kSequence;
  config.layer.balance_loss_coeff = 0.1F;
  config.layer.z_loss_coeff = 0.01F;
  return config;
}

/// Weights of the size that training reaches, so that every path of the gradient counts and a lost expert shows.
void draw_grown(Model& model) {
  initialise(model.config(), kSeed, model.parameters());
  for (const Parameter& parameter : model.parameters().all()) {
    if (parameter.value.shape().rank() != 2) continue;
    for (float& value : parameter.value.span<float>()) value *= 8;
  }
}

/// A model on one rank with a fixed batch, as a function of its weights.
class LossOfWeights {
 public:
  explicit LossOfWeights(const ModelConfig& config)
      : transport_(make_transport("local")), groups_(*transport_, 0, kDefaultDeadline), model_(config, groups_, {}) {
    draw_grown(model_);
    batch_ = deal_batch(3, config.sequence, groups_);
    ids_ = token_arena_.make<std::int32_t>({batch_.tokens()});
    labels_ = token_arena_.make<std::int32_t>({batch_.tokens()});
    for (std::int64_t i = 0; i < batch_.tokens(); ++i) {
      const auto at = static_cast<std::uint64_t>(i), vocab = static_cast<std::uint64_t>(config.vocab);
      ids_.data<std::int32_t>()[i] = static_cast<std::int32_t>(random_below({1, 0}, at, vocab));
      labels_.data<std::int32_t>()[i] = static_cast<std::int32_t>(random_below({1, 1}, at, vocab));
    }
  }

  std::span<Parameter> weights() { return model_.parameters().all(); }

  /// From now on sequences fall apart into documents and some labels do not count.
  void take_apart() {
    for (std::int64_t i = 2; i < batch_.tokens(); i += 5) labels_.data<std::int32_t>()[i] = -1;
    batch_.documents = documents_;
  }

  /// Loss and its auxiliary losses; gradients are left in weights().
  double operator()(const GradientsFinal& final = {}) {
    arena_.reset();
    model_.parameters().zero_gradients();
    const double scale = 1 / static_cast<double>(batch_.tokens());
    const LossPart part =
        model_.loss_and_gradients(ids_, labels_, batch_, scale, {.l1_coeff = 0.01, .random = {}}, arena_, final);
    return part.cross_entropy * scale + part.balance;
  }
  const Parameters& parameters() { return model_.parameters(); }

  /// All choices of the last call, layer after layer.
  std::vector<std::int32_t> choices() const {
    std::vector<std::int32_t> all;
    for (std::int64_t layer = 0; layer < model_.config().layers; ++layer) {
      for (std::int64_t t = 0; t < model_.config().layer.iterations; ++t) {
        const Routing& routing = model_.last_routing(layer, t);
        const auto experts = routing.expert.span<std::int32_t>();
        const auto kept = routing.kept.span<std::uint8_t>();
        all.insert(all.end(), experts.begin(), experts.end());
        all.insert(all.end(), kept.begin(), kept.end());
        all.push_back(-1);
      }
    }
    return all;
  }

 private:
  std::unique_ptr<Transport> transport_;
  RankGroups groups_;
  Model model_;
  Batch batch_;
  Arena token_arena_, arena_;
  Tensor ids_, labels_;
  std::vector<std::int32_t> documents_ = {3, 5, 8, 1, 1, 6};
};

using Direction = std::vector<std::vector<float>>;

Direction random_direction(std::span<const Parameter> weights, std::uint64_t seed) {
  Direction direction;
  for (const Parameter& parameter : weights) {
    auto& part = direction.emplace_back(static_cast<std::size_t>(parameter.value.elements()));
    const std::uint64_t stream = direction.size();
    fill_normal(Tensor(part.data(), DType::kF32, parameter.value.shape()), {seed, stream}, 0, 1);
  }
  return direction;
}

void move(std::span<const Parameter> weights, const Direction& direction, float step) {
  for (std::size_t p = 0; p < weights.size(); ++p) {
    float* value = weights[p].value.data<float>();
    for (std::size_t i = 0; i < direction[p].size(); ++i) value[i] += step * direction[p][i];
  }
}

void expect_central_differences(const ModelConfig& config, bool taken_apart = false) {
  constexpr float kStep = 1e-4F;
  constexpr int kDirections = 16, kMostDraws = 200;
  LossOfWeights loss(config);
  if (taken_apart) loss.take_apart();
  loss();
  const std::vector<std::int32_t> choices = loss.choices();
  std::vector<std::vector<float>> gradients, start;
  for (const Parameter& parameter : loss.weights()) {
    const auto gradient = parameter.gradient.span<float>(), value = parameter.value.span<float>();
    gradients.emplace_back(gradient.begin(), gradient.end());
    start.emplace_back(value.begin(), value.end());
  }
  const auto restore = [&] {
    for (std::size_t p = 0; p < start.size(); ++p) std::ranges::copy(start[p], loss.weights()[p].value.data<float>());
  };
  int compared = 0;
  double squared_error = 0, squared_norm = 0;  // of the 16 slopes: one alone may be close to 0
  for (std::uint64_t draw = 0; compared < kDirections && draw < kMostDraws; ++draw) {
    const Direction direction = random_direction(loss.weights(), draw);
    double predicted = 0;
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      for (std::size_t i = 0; i < gradients[p].size(); ++i)
        predicted += static_cast<double>(gradients[p][i]) * direction[p][i];
    }
    move(loss.weights(), direction, kStep);
    const double above = loss();
    bool same_choices = loss.choices() == choices;
    restore();
    move(loss.weights(), direction, -kStep);
    const double below = loss();
    same_choices = same_choices && loss.choices() == choices;
    restore();
    if (!same_choices) continue;
    const double error = (above - below) / (2.0 * kStep) - predicted;
    squared_error += error * error;
    squared_norm += predicted * predicted;
    ++compared;
  }
  EXPECT_EQ(compared, kDirections) << "too many directions change a routing choice";
  EXPECT_LE(std::sqrt(squared_error / squared_norm), 1e-2);
}

/// What a backward said was final, and the gradients there at that time.
struct Told {
  FinalFrom from;
  std::vector<float> replicated, experts;
};

TEST(Model, GradientsThatAreToldToBeFinalAreAndTheRestIsNot) {
  for (const ResidualStream stream : {ResidualStream::kPrenorm, ResidualStream::kAuthors}) {
    ModelConfig config = small_model();
    config.residual_stream = stream;
    config.layer.shared_experts = 1;
    LossOfWeights loss(config);
    const FlatParameters &replicated = loss.parameters().replicated(), &experts = loss.parameters().experts();
    std::vector<Told> told;
    loss([&](const FinalFrom& from) {
      const auto mine = replicated.gradient.span<float>(), theirs = experts.gradient.span<float>();
      told.push_back(
          {from, {mine.begin() + from.replicated, mine.end()}, {theirs.begin() + from.experts, theirs.end()}});
    });
    ASSERT_EQ(told.size(), 4U) << "head, two layers, embedding";
    const auto final = replicated.gradient.span<float>(), final_experts = experts.gradient.span<float>();
    std::int64_t before = std::ssize(final), before_experts = std::ssize(final_experts);
    for (const Told& one : told) {
      EXPECT_LT(one.from.replicated, before) << "more each time";
      before = one.from.replicated;
      EXPECT_TRUE(std::ranges::equal(one.replicated, final.subspan(static_cast<std::size_t>(before))));
      EXPECT_TRUE(std::ranges::equal(one.experts, final_experts.subspan(static_cast<std::size_t>(one.from.experts))));
    }
    EXPECT_EQ(told[0].from.experts, before_experts);
    EXPECT_LT(told[1].from.experts, told[0].from.experts);
    EXPECT_LT(told[2].from.experts, told[1].from.experts);
    EXPECT_EQ(told[3].from.replicated + told[3].from.experts, 0);
  }
}

TEST(Model, GradientsAgreeWithCentralDifferences) { expect_central_differences(small_model()); }

TEST(Model, GradientsAgreeOverSeparateDocumentsAndLabelsThatDoNotCount) {
  expect_central_differences(small_model(), true);
}

/// Logits of `ids`, one sequence after the other, fallen apart into `documents`.
std::vector<float> logits_of(Model& model, const RankGroups& groups, std::span<const std::int32_t> ids,
                             std::int64_t length, std::span<const std::int32_t> documents) {
  Arena arena;
  const auto tokens = static_cast<std::int64_t>(ids.size());
  Batch batch = deal_batch(tokens / length, length, groups);
  batch.documents = documents;
  const Tensor all = arena.make<std::int32_t>({tokens}), logits = arena.make<float>({tokens, model.config().vocab});
  std::ranges::copy(ids, all.data<std::int32_t>());
  model.logits(all, batch, logits, arena);
  const auto values = logits.span<float>();
  return {values.begin(), values.end()};
}

TEST(Model, ADocumentHasTheLogitsThatItHasAlone) {
  const auto transport = make_transport("local");
  const RankGroups groups(*transport, 0, kDefaultDeadline);
  Model model(small_model(), groups, {});
  initialise(small_model(), kSeed, model.parameters());
  std::vector<std::int32_t> ids(16);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(random_below({1, 0}, i, 32));
  const std::vector<std::int32_t> documents = {3, 5, 1, 7};
  const std::vector<float> together = logits_of(model, groups, ids, 8, documents);
  std::size_t first = 0;
  for (const std::int32_t length : documents) {
    const auto alone =
        logits_of(model, groups, std::span(ids).subspan(first, static_cast<std::size_t>(length)), length, {});
    for (std::size_t i = 0; i < alone.size(); ++i) ASSERT_NEAR(alone[i], together[32 * first + i], 1e-6) << first;
    first += static_cast<std::size_t>(length);
  }
  EXPECT_NE(together, logits_of(model, groups, ids, 8, {}));
}

TEST(Model, GradientsAgreeInTheAuthorsWiring) {
  ModelConfig config = small_model();
  config.residual_stream = ResidualStream::kAuthors;
  config.layer.residual = Residual::kOuter;
  config.layer.shared_experts = 1;
  config.layer.norm_topk_prob = true;
  expect_central_differences(config);
}

TEST(Model, GradientsAgreeWithReluRouting) {
  ModelConfig config = small_model();
  config.layer.router = RouterKind::kRelu;
  expect_central_differences(config);
}

TEST(Model, GradientsAgreeUnderCapacity) {
  ModelConfig config = small_model();
  config.layer.drop_policy = DropPolicy::kProbability;
  config.layer.capacity_factor = 1.0;
  config.layer.balance_loss = BalanceLoss::kBatch;
  expect_central_differences(config);
}

/// Layers whose training drops choices, each in another way.
std::vector<ModelConfig> dropping_models() {
  std::vector<ModelConfig> models(5, small_model());
  for (ModelConfig& model : models) {
    model.layer.drop_policy = DropPolicy::kPosition;
    model.layer.capacity_factor = 0.5;
  }
  models[1].layer.drop_policy = models[2].layer.drop_policy = DropPolicy::kProbability;
  models[2].layer.reroute_rounds = models[3].layer.reroute_rounds = 1;
  models[3].layer.pad_to_capacity = true;
  models[3].layer.capacity_scope = CapacityScope::kRank;
  models[4].layer.router = RouterKind::kRelu;
  models[4].layer.balance_loss = BalanceLoss::kNone;
  models[4].layer.z_loss_coeff = 0;
  return models;
}

/// What a model that is not trained makes of texts.
class Reader {
 public:
  explicit Reader(const ModelConfig& config, const ModelUse& use = {.trained = false})
      : transport_(make_transport("local")), groups_(*transport_, 0, kDefaultDeadline), model_(config, groups_, use) {
    draw_grown(model_);
  }

  /// Sequences of `length` tokens, one after the other -> logits [tokens * V].
  std::vector<float> logits(const std::vector<std::int32_t>& ids, std::int64_t length) {
    arena_.reset();
    const Batch batch = deal_batch(std::ssize(ids) / length, length, groups_);
    const Tensor tokens = arena_.make<std::int32_t>({batch.tokens()});
    const Tensor logits = arena_.make<float>({batch.tokens(), model_.config().vocab});
    std::ranges::copy(ids, tokens.data<std::int32_t>());
    model_.logits(tokens, batch, logits, arena_);
    const auto values = logits.span<float>();
    return {values.begin(), values.end()};
  }
  double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& labels, std::int64_t length) {
    arena_.reset();
    const Batch batch = deal_batch(std::ssize(ids) / length, length, groups_);
    const Tensor tokens = arena_.make<std::int32_t>({batch.tokens()}), next = arena_.make<std::int32_t>(tokens.shape());
    std::ranges::copy(ids, tokens.data<std::int32_t>());
    std::ranges::copy(labels, next.data<std::int32_t>());
    return model_.loss(tokens, next, batch, arena_);
  }

 private:
  std::unique_ptr<Transport> transport_;
  RankGroups groups_;
  Model model_;
  Arena arena_;
};

std::vector<std::int32_t> random_ids(std::size_t tokens, std::uint64_t seed) {
  std::vector<std::int32_t> ids(tokens);
  for (std::size_t i = 0; i < tokens; ++i) ids[i] = static_cast<std::int32_t>(random_below({seed, 2}, i, 32));
  return ids;
}

std::vector<float> first(const std::vector<float>& values, std::size_t tokens) {
  return {values.begin(), values.begin() + static_cast<std::ptrdiff_t>(tokens * 32)};
}

TEST(Model, LogitsDependOnNoLaterTokenAndNoOtherSequence) {
  for (const ModelConfig& config : dropping_models()) {
    Reader reader(config);
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      std::vector<std::int32_t> ids = random_ids(3 * 8, seed);
      const std::vector<float> before = reader.logits(ids, 8);
      ids[7] = (ids[7] + 13) % 32;
      EXPECT_EQ(first(reader.logits(ids, 8), 7), first(before, 7)) << "the last token of the sequence changed";
      ids[7] = (ids[7] + 19) % 32;
      std::ranges::reverse(ids.begin() + 8, ids.end());
      EXPECT_EQ(first(reader.logits(ids, 8), 8), first(before, 8)) << "other sequences changed";
      EXPECT_EQ(reader.logits({ids.begin(), ids.begin() + 8}, 8), first(before, 8)) << "other sequences are not there";
    }
  }
}

TEST(Model, ATextsLogitsGoOnFromItsPrefixes) {
  for (const ModelConfig& config : dropping_models()) {
    Reader reader(config);
    const std::vector<std::int32_t> ids = random_ids(8, 3);
    const std::vector<float> whole = reader.logits(ids, 8);
    for (std::size_t length = 1; length < 8; ++length) {
      const std::vector<float> prefix =
          reader.logits({ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length)}, std::int64_t(length));
      for (std::size_t i = 0; i < prefix.size(); ++i) EXPECT_NEAR(prefix[i], whole[i], 1e-4) << length;
    }
  }
}

TEST(Model, TheLossDoesNotDependOnHowManySequencesAreReadAtOnce) {
  for (const ModelConfig& config : dropping_models()) {
    Reader reader(config);
    const std::vector<std::int32_t> ids = random_ids(4 * 8, 1), labels = random_ids(4 * 8, 2);
    double one_by_one = 0;
    for (std::ptrdiff_t at = 0; at < 32; at += 8) {
      one_by_one +=
          reader.loss({ids.begin() + at, ids.begin() + at + 8}, {labels.begin() + at, labels.begin() + at + 8}, 8);
    }
    EXPECT_NEAR(reader.loss(ids, labels, 8), one_by_one, 1e-12 * one_by_one);
  }
}

TEST(Model, ACapacityThatIsAskedForIsTrainings) {
  for (const ModelConfig& config : dropping_models()) {
    const std::vector<std::int32_t> ids = random_ids(4 * 8, 1), labels = random_ids(4 * 8, 2);
    const double dropless = Reader(config).loss(ids, labels, 8);
    const double dropping = Reader(config, {.trained = false, .capacity_factor = 0.5}).loss(ids, labels, 8);
    const auto transport = make_transport("local");
    const RankGroups groups(*transport, 0, kDefaultDeadline);
    Model model(config, groups, {});
    draw_grown(model);
    Arena arena;
    const Batch batch = deal_batch(4, 8, groups);
    const Tensor tokens = arena.make<std::int32_t>({32}), next = arena.make<std::int32_t>({32});
    std::ranges::copy(ids, tokens.data<std::int32_t>());
    std::ranges::copy(labels, next.data<std::int32_t>());
    const double trained = model.loss_and_gradients(tokens, next, batch, 1, {.l1_coeff = 0.01}, arena).cross_entropy;
    EXPECT_NEAR(dropping, trained, 1e-5 * trained);
    EXPECT_GT(std::abs(dropping - dropless), 1e-4 * trained) << "nothing was dropped";
  }
}

}  // namespace
}  // namespace coe
