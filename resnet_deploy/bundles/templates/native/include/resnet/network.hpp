// SPDX-License-Identifier: Apache-2.0
// One ONNX Runtime session, and memory for as many calls at once as there ever were.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resnet/onnxruntime.hpp"
#include "resnet/preprocess.hpp"

namespace resnet {

/// What one call works with. Only its first call, and one with a larger picture, allocates.
struct CallMemory {
  PrepareMemory prepare;
  Tensor tensor;
  std::vector<std::uint8_t> batch;  ///< the tensor in every place of a fixed batch
  const void *bound = nullptr;      ///< the tensor that ONNX Runtime was pointed to
  std::array<std::int64_t, 4> shape{};
  std::vector<float> scores;
  std::vector<std::int64_t> classes;
  std::vector<int> order;
  Ort::Value input{nullptr};
  Ort::Value first_output{nullptr};
  Ort::Value second_output{nullptr};
  Ort::IoBinding binding{nullptr};
};

/// Hands out memory, each to one call at a time, and keeps it for the next.
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
  /// Throws Error: ONNX Runtime is too old, or refuses the model.
  Network(const Contract &contract, std::string_view model, const Options &options)
      : contract_(detail::runnable(contract)) {
    try {
      environment_ = detail::quiet_environment();
      session_ =
          Ort::Session(environment_, model.data(), model.size(), detail::session_options(options));
      cpu_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
      output_shape_ = session_.GetOutputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
    } catch (const Ort::Exception &error) {
      throw failure(error);
    }
    // Some models keep the 1x1 of their last pooling behind the classes.
    output_shape_.resize(std::max<std::size_t>(output_shape_.size(), 2));
    std::fill(output_shape_.begin(), output_shape_.end(), 1);
    output_shape_[0] = std::max(contract.batch, 1);
    output_shape_[1] = static_cast<std::int64_t>(score_count());
  }

  /// Fills memory.scores, and memory.classes of a top-K net, from memory.tensor: a picture of
  /// `width` x `height` pixels.
  ///
  /// Throws Error: ONNX Runtime can't run the network, or it gives NaN.
  void run(CallMemory &memory, int width, int height) {
    try {
      bind(memory, width, height);
      if (!memory.batch.empty()) {
        const std::size_t bytes = memory.tensor.byte_count();
        for (std::size_t at = 0; at < memory.batch.size(); at += bytes) {
          std::memcpy(memory.batch.data() + at, memory.tensor.data(), bytes);
        }
      }
      session_.Run(Ort::RunOptions{nullptr}, memory.binding);
    } catch (const Ort::Exception &error) {
      throw failure(error);
    }
    for (const float score : memory.scores) {
      if (!std::isfinite(score)) {
        throw Error(Code::onnxruntime, "the network gives NaN or infinity for this picture");
      }
    }
  }

  /// How many values the first output has for one picture.
  std::size_t score_count() const {
    return static_cast<std::size_t>(contract_.k > 0 ? contract_.k : contract_.classes);
  }

 private:
  static Error failure(const Ort::Exception &error) {
    return Error(Code::onnxruntime,
                 std::string("ONNX Runtime ") + onnxruntime_version() + ": " + error.what());
  }

  /// Points ONNX Runtime to our memory; nothing is left to do where the last call did it.
  void bind(CallMemory &memory, int width, int height) {
    const std::array<std::int64_t, 4> shape = input_shape(width, height);
    if (memory.bound == memory.tensor.data() && memory.shape == shape) return;
    memory.bound = nullptr;
    const auto places = static_cast<std::size_t>(shape[0]);
    const std::size_t bytes = memory.tensor.byte_count();
    memory.batch.resize(places > 1 ? places * bytes : 0);
    void *data = memory.batch.empty() ? const_cast<void *>(memory.tensor.data())
                                      : static_cast<void *>(memory.batch.data());
    memory.input = Ort::Value::CreateTensor(cpu_, data, places * bytes, shape.data(), shape.size(),
                                            is_float(contract_.preprocess.format)
                                                ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
                                                : ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
    memory.binding = Ort::IoBinding(session_);
    memory.binding.BindInput(contract_.input_name, memory.input);
    memory.scores.resize(places * score_count());
    memory.first_output = output(memory.scores);
    memory.binding.BindOutput(contract_.output_names[0], memory.first_output);
    if (contract_.output_kind == OutputKind::top_k) {
      memory.classes.resize(memory.scores.size());
      memory.second_output = output(memory.classes);
      memory.binding.BindOutput(contract_.output_names[1], memory.second_output);
    }
    memory.shape = shape;
    memory.bound = memory.tensor.data();
  }

  std::array<std::int64_t, 4> input_shape(int width, int height) const {
    const Preprocess &spec = contract_.preprocess;
    const std::int64_t places = output_shape_[0], channels = spec.channels();
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

  template <typename Value>
  Ort::Value output(std::vector<Value> &values) {
    return Ort::Value::CreateTensor<Value>(cpu_, values.data(), values.size(), output_shape_.data(),
                                           output_shape_.size());
  }

  const Contract &contract_;  // first, since without the API even empty handles can't be freed
  Ort::Env environment_{nullptr};
  Ort::Session session_{nullptr};
  Ort::MemoryInfo cpu_{nullptr};
  std::vector<std::int64_t> output_shape_;
};

}  // namespace resnet
