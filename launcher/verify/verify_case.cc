#include "launcher/verify/verify_case.h"

#include <algorithm>
#include <vector>

#include "kernels/memory/arena.h"
#include "launcher/verify/case_file.h"
#include "launcher/verify/case_results.h"
#include "launcher/verify/verify_cuda_layer.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/check_device.h"
#include "runtime/model/host_weights.h"
#include "runtime/model/model.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/batch.h"
#include "runtime/ranks/read_back.h"
#include "runtime/training/optimiser.h"

namespace coe {
namespace {

std::span<const float> floats(const Tensor& tensor) { return tensor.span<float>(); }

/// [T, N] flags of what the router chose, or of what runs.
std::vector<float> flags(const Routing& routing, const Tensor& set) {
  std::vector<float> result(static_cast<std::size_t>(routing.tokens() * routing.experts));
  const auto* offsets = routing.offsets.data<std::int32_t>();
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    for (std::int32_t j = offsets[t]; j < offsets[t + 1]; ++j) {
      if (set.data<std::uint8_t>()[j] == 0) continue;
      result[static_cast<std::size_t>(t * routing.experts + routing.expert.data<std::int32_t>()[j])] = 1;
    }
  }
  return result;
}

float summed(const RankGroups& groups, double part) {
  all_reduce_sum<double>(groups.world(), {&part, 1}, {"summing losses"});
  return static_cast<float>(part);
}

CaseOutcome judge(const CaseFile& file, const CaseResults& results, std::span<const std::string> digested,
                  std::span<const ParameterSpec> specs) {
  const auto [max_error, worst] = results.compare(file);
  return {max_error, worst, results.digest(digested, specs)};
}

CaseOutcome verify_on_cuda(const CaseFile& file, const RankGroups& groups, const Stream& stream) {
  const LayerConfig& config = file.layer();
  const auto specs_of = [&](const ExpertIds& experts) { return chain_specs(config, "", experts); };
  const Placement placement(config.experts, groups.experts().size());
  Parameters parameters(specs_of(placement.experts_of(groups.experts().rank())), true, host_stream(), DType::kF32,
                        weight_sharing(groups, false));
  file.load_weights(parameters);
  CaseResults results(groups);
  run_cuda_layer(file, groups, placement, stream, parameters, results);
  results.gather_gradients(parameters, [&](int rank) { return specs_of(placement.experts_of(rank)); });
  const std::vector<std::string> digested = {"output", "grad.input"};
  return judge(file, results, digested, specs_of({0, config.experts}));
}

CaseOutcome verify_layer(const CaseFile& file, const RankGroups& groups, ExchangeOrder order, int threads) {
  const LayerConfig& config = file.layer();
  const auto specs_of = [&](const ExpertIds& experts) { return chain_specs(config, "", experts); };
  const Placement placement(config.experts, groups.experts().size());
  const ExpertIds& experts = placement.experts_of(groups.experts().rank());
  Parameters parameters(specs_of(experts), true, host_stream(), DType::kF32, weight_sharing(groups, false));
  file.load_weights(parameters);

  const Tensor whole = file.tensors().tensor("input");
  check(whole.shape().rank() == 2 && whole.extent(0) % file.length() == 0, "case: input is ", whole.shape().text(),
        ", must be [T, D] with T a multiple of seq_len, ", file.length());
  const Batch batch = deal_batch(whole.extent(0) / file.length(), file.length(), groups);
  const Shape shape{whole.extent(0), config.hidden};
  const auto mine = [&](const std::string& name) {
    return file.tensor(name, DType::kF32, shape).rows(batch.first_sequence * batch.length, batch.tokens());
  };

  PartTimes times;
  const auto exchange =
      make_exchange(order, groups.experts(), {config.hidden}, ChainLayer::flight_hint(1, config.iterations));
  LayerWorkspace workspace = make_layer_workspace(config, groups);
  ChainLayer layer(config, 0, {&groups, &placement, exchange.get(), &workspace, &times, threads},
                   chain_weights(config, "", experts, parameters));
  Arena arena;
  ChainSaved saved;
  const Tensor dx = arena.make<float>({batch.tokens(), config.hidden});
  const ChainOutput output =
      layer.forward(mine("input"), batch, {.l1_coeff = config.l1_coeff, .random = {}}, &saved, arena);
  layer.backward(mine("grad_output"), saved, dx, arena);
  Optimiser({}, groups, parameters).reduce_gradients();

  CaseResults results(groups);
  results.gather("output", floats(output.y));
  results.gather("grad.input", floats(dx));
  results.add("aux_loss", {summed(groups, *output.balance_loss.data<double>())});
  for (std::size_t t = 0; t < saved.chunks.front().iterations.size(); ++t) {
    const Routing& routing = saved.chunks.front().iterations[t].routed.routing;
    results.gather("chosen." + std::to_string(t), flags(routing, routing.chosen));
    results.gather("kept." + std::to_string(t), flags(routing, routing.kept));
  }
  results.gather_gradients(parameters, [&](int rank) { return specs_of(placement.experts_of(rank)); });
  const std::vector<std::string> digested = {"output", "grad.input"};
  return judge(file, results, digested, specs_of({0, config.experts}));
}

/// This rank's rows of an int64 [B, S] tensor, as int32 [T].
Tensor read_ids(const CaseFile& file, const std::string& name, std::int64_t sequences, const Batch& batch,
                Arena& arena) {
  const Tensor whole = file.tensor(name, DType::kI64, {sequences, batch.length});
  const Tensor ids = arena.make<std::int32_t>({batch.tokens()});
  std::ranges::transform(whole.rows(batch.first_sequence, batch.sequences).span<std::int64_t>(),
                         ids.data<std::int32_t>(), [](std::int64_t id) { return static_cast<std::int32_t>(id); });
  return ids;
}

CaseOutcome verify_model(const CaseFile& file, const RankGroups& groups, const Stream& stream, ExchangeOrder order,
                         int threads) {
  const Tensor whole = file.tensors().tensor("input_ids");
  check(whole.shape().rank() == 2, "case: input_ids is ", whole.shape().text(), ", must be [B, S]");
  const std::int64_t sequences = whole.extent(0);
  const Batch batch = deal_batch(sequences, file.length(), groups);
  const std::int64_t most_tokens = (sequences + groups.world().size() - 1) / groups.world().size() * file.length();
  Model model(
      file.model(), groups,
      {.order = order, .threads = threads, .tokens = stream.device() == kCpu ? 0 : most_tokens, .stream = &stream});
  const auto specs_of = [&](int rank) {
    return model_specs(model.config(), model.experts_of(rank), expert_order(stream.device()));
  };
  HostWeights weights(model, groups.world());
  file.load_weights(weights.memory());
  weights.write();
  Optimiser optimiser(file.training(), groups, model.parameters(), stream);
  Arena ids_arena, arena(0, stream.device());
  const Tensor ids = read_ids(file, "input_ids", sequences, batch, ids_arena);
  const Tensor labels = read_ids(file, "labels", sequences, batch, ids_arena);
  const double scale = 1 / static_cast<double>(batch.world_tokens());

  const RoutingContext routing{.l1_coeff = file.layer().l1_coeff, .random = {}};
  CaseResults results(groups);
  const Tensor logits = arena.make<float>({batch.tokens(), model.config().vocab});
  model.logits(ids, batch, logits, arena);
  results.gather("logits", read_back<float>(logits, groups.world(), stream, {"reading logits"}));
  std::vector<float> losses;
  for (std::int64_t step = 1; step <= file.training().steps; ++step) {
    arena.reset();
    model.parameters().zero_gradients();
    const LossPart part = model.loss_and_gradients(ids, labels, batch, scale, routing, arena);
    optimiser.reduce_gradients();
    const double norm = optimiser.gradient_norm();
    losses.push_back(summed(groups, part.cross_entropy * scale));
    if (step == 1) {
      results.add("loss", {losses.front()});
      results.add("aux_loss", {summed(groups, part.balance)});
      results.add("grad_norm", {static_cast<float>(norm)});
      results.gather_gradients(weights.read_gradients(), specs_of);
    }
    optimiser.update(step, norm);
  }
  results.add("losses", losses);
  const std::vector<std::string> digested = {"logits"};
  return judge(file, results, digested, model_specs(model.config(), {0, file.layer().experts}));
}

}  // namespace

CaseOutcome verify_case(const std::filesystem::path& path, Transport& world, std::chrono::milliseconds deadline,
                        const VerifyWay& way) {
  const CaseFile file(path);
  const Stream stream = way.device == Device::Kind::kCuda ? Stream(own_cuda_device()) : Stream();
  const RankGroups groups(world, 0, deadline, nullptr, {stream.device(), way.reach, way.sizes});
  if (file.is_model()) return verify_model(file, groups, stream, way.order, way.threads);
  if (stream.device() != kCpu) return verify_on_cuda(file, groups, stream);
  return verify_layer(file, groups, way.order, way.threads);
}

}  // namespace coe
