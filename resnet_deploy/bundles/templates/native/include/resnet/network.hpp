// SPDX-License-Identifier: Apache-2.0
// One network on the first runtime that this host has, and memory for as many calls at once as
// there ever were.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resnet/preprocess.hpp"
#include "resnet/runtime.hpp"
#include "resnet/runtimes.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// What one call works with. Only its first call, and one with more or larger pictures, allocates.
struct CallMemory {
  PrepareMemory prepare;
  Tensor tensor;
  std::vector<std::uint8_t> batch;    ///< the tensors of a batch, one behind the other
  /// Of each output, the values of each picture one behind the other. The first has the scores.
  std::vector<std::vector<float>> values;
  std::vector<std::int64_t> classes;  ///< of a top-K net
  std::vector<int> order;
  std::vector<Output> outputs;
  std::unique_ptr<Request> request;
};

/// Lends memory, each to one call at a time, and keeps it for the next.
class CallMemoryPool {
 public:
  class Lease {
   public:
    explicit Lease(CallMemoryPool &pool) : pool_(pool), memory_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(memory_)); }
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    CallMemory &operator*() const { return *memory_; }

   private:
    CallMemoryPool &pool_;
    std::unique_ptr<CallMemory> memory_;
  };

 private:
  std::unique_ptr<CallMemory> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<CallMemory> memory = std::move(free_.back());
      free_.pop_back();
      return memory;
    }
    auto memory = std::make_unique<CallMemory>();
    free_.reserve(made_ + 1);  // so that giving back never allocates
    ++made_;
    return memory;
  }

  void give_back(std::unique_ptr<CallMemory> memory) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(memory));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<CallMemory>> free_;
  std::size_t made_ = 0;
};

/// Runs the network on input tensors. Threads may share it, each with memory of its own.
class Network {
 public:
  /// How many pictures run at once at most, a power of two: memory stays bounded, and CPUs gain
  /// little from more.
  static constexpr std::size_t max_batch = 8;

  /// `data` are the bytes of `model`. Throws Error: no runtime of the bundle is here, new enough,
  /// and takes the model.
  Network(const Contract &contract, const Model &model, std::string_view data,
          const Options &options)
      : contract_(contract) {
    detail::check_threads(options.threads);
    bool known = false;
    Code code = Code::no_runtime;
    for (std::size_t i = 0; i < contract.runtime_count && !runtime_; ++i) {
      const RuntimeChoice &choice = contract.runtimes[i];
      if (model.tolerances[i] < 0) continue;
      if (!options.runtime.empty() && options.runtime != word(choice.kind)) continue;
      known = true;
      try {
        runtime_ = detail::open_runtime(choice, contract.input_name, data, opening_shape(), options);
        name_ = std::string(runtime_->name()) + " " + runtime_->version();
        if (!runtime_->notice().empty()) note(runtime_->notice());
      } catch (const Error &error) {
        note(error.what());
        code = error.code();
      }
    }
    if (!known) {
      throw Error(Code::bad_argument, std::string(model.file) + " of this bundle does not run on " +
                                          options.runtime + ": leave the runtime out for " +
                                          word(contract.runtimes[0].kind));
    }
    if (!runtime_) throw Error(code, notice_);
  }

  /// Fills memory.values, and memory.classes of a top-K net, from memory.tensor: a picture of
  /// `width` x `height` pixels.
  ///
  /// Throws Error: the runtime can't run the network, or it gives NaN.
  void run(CallMemory &memory, int width, int height) {
    const std::size_t places = std::max<std::size_t>(static_cast<std::size_t>(contract_.batch), 1);
    if (places > 1) {
      for (std::size_t place = 0; place < places; ++place) put(memory, place, places);
    }
    run_places(memory, width, height, places);
    if (bad_place(memory) < places) throw not_finite("this picture");
  }

  /// Puts memory.tensor at `place` of a batch of `places`.
  void put(CallMemory &memory, std::size_t place, std::size_t places) const {
    const std::size_t bytes = memory.tensor.byte_count();
    memory.batch.resize(places * bytes);
    std::memcpy(memory.batch.data() + place * bytes, memory.tensor.data(), bytes);
  }

  /// The same as run() for `places` pictures of one size that were put(); `first` is the index of
  /// the first one in a message.
  void run_batch(CallMemory &memory, int width, int height, std::size_t places, std::size_t first) {
    run_places(memory, width, height, places);
    const std::size_t bad = bad_place(memory);
    if (bad < places) throw not_finite("picture " + std::to_string(first + bad));
  }

  /// How many values the first output has for one picture.
  std::size_t score_count() const {
    return contract_.outputs[0].size;
  }

  const std::string &runtime() const { return name_; }
  const std::string &notice() const { return notice_; }

 private:
  void note(const std::string &line) { notice_ += (notice_.empty() ? "" : "; ") + line; }

  static Error not_finite(const std::string &which) {
    return Error(Code::runtime, "the network gives NaN or infinity for " + which);
  }

  /// The first place in the batch with a value that is not a number; behind the last: there is none.
  std::size_t bad_place(const CallMemory &memory) const {
    std::size_t first = std::numeric_limits<std::size_t>::max();
    for (std::size_t i = 0; i < contract_.output_count; ++i) {
      const std::vector<float> &values = memory.values[i];
      const auto bad = std::find_if(values.begin(), values.end(),
                                    [](float value) { return !std::isfinite(value); });
      first = std::min(first, static_cast<std::size_t>(bad - values.begin()) /
                                  contract_.outputs[i].size);
    }
    return first;
  }

  void run_places(CallMemory &memory, int width, int height, std::size_t places) {
    if (!memory.request) memory.request = runtime_->request();
    memory.values.resize(contract_.output_count);
    memory.outputs.clear();
    for (std::size_t i = 0; i < contract_.output_count; ++i) {
      const OutputInfo &info = contract_.outputs[i];
      std::vector<float> &values = memory.values[i];
      values.resize(places * info.size);
      // Some classifiers keep the 1x1 of their last pooling behind the classes.
      const bool flat = contract_.classes > 0;
      memory.outputs.push_back({info.name, flat ? nullptr : info.shape, flat ? 0 : info.rank,
                                Element::float32, values.data(), values.size()});
    }
    if (contract_.classes_name != nullptr) {
      memory.classes.resize(memory.values[0].size());
      memory.outputs.push_back({contract_.classes_name, nullptr, 0, Element::int64,
                                memory.classes.data(), memory.classes.size()});
    }
    Input input{memory.tensor.data(), memory.tensor.byte_count() * places,
                is_float(contract_.preprocess.format) ? Element::float32 : Element::uint8,
                input_shape(static_cast<std::int64_t>(places), width, height)};
    if (places > 1) input.data = memory.batch.data();
    memory.request->run(input, memory.outputs.data(), memory.outputs.size());
  }

  /// What kernels may count on: one picture where the batch is free; of any size where the graph
  /// resizes.
  Shape opening_shape() const { return input_shape(std::max(contract_.batch, 1), -1, -1); }

  Shape input_shape(std::int64_t places, int width, int height) const {
    const Preprocess &spec = contract_.preprocess;
    const std::int64_t channels = spec.channels();
    if (spec.resize_in_graph) return {places, height, width, channels};
    switch (spec.format) {
      case Format::float_nchw:
      case Format::uint8_nchw:
        break;
      case Format::float_nhwc:
      case Format::uint8_nhwc:
        return {places, spec.height, spec.width, channels};
      case Format::uint8_s2d:
        return {places, spec.height / 2, spec.width / 2, 4 * channels};
    }
    return {places, channels, spec.height, spec.width};
  }

  const Contract &contract_;
  std::unique_ptr<Runtime> runtime_;
  std::string name_, notice_;
};

}  // namespace resnet
