// In place of the bundle's own: a runtime that gives the mean of each channel, as the network of
// the fuzzed bundle does, and needs no library that no sanitizer has seen.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "resnet/runtime.hpp"
#include "resnet/types.hpp"

namespace resnet::detail {

class MeanOfChannels final : public Request {
  void run(const Input &input, const Output *outputs, std::size_t output_count) override {
    const auto *values = static_cast<const float *>(input.data);
    for (std::size_t i = 0; i < output_count; ++i) {
      auto *to = static_cast<float *>(outputs[i].data);
      const std::size_t plane = input.bytes / sizeof(float) / outputs[i].count;
      for (std::size_t k = 0; k < outputs[i].count; ++k, values += plane) {
        double sum = 0;
        for (std::size_t at = 0; at < plane; ++at) sum += static_cast<double>(values[at]);
        to[k] = static_cast<float>(sum / static_cast<double>(plane));
      }
    }
  }
};

class FakeRuntime final : public Runtime {
 public:
  std::unique_ptr<Request> request() override { return std::make_unique<MeanOfChannels>(); }
  const char *name() const override { return "fake"; }
  const char *version() const override { return "1.0"; }
  std::string notice() const override { return ""; }
};

inline std::unique_ptr<Runtime> open_runtime(const RuntimeChoice &, const char *, std::string_view,
                                             const Shape &, const Options &) {
  return std::make_unique<FakeRuntime>();
}

}  // namespace resnet::detail
