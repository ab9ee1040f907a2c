// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's C++ API, from a library that is opened while the program runs: one that is missing
// or too old is an error and no crash, and any release from the bundle's oldest on will do, however
// new the headers are. With RESNET_LINKED_ONNXRUNTIME, the library that the program is linked with.
#pragma once

#if defined(ORT_API_VERSION) && !defined(ORT_API_MANUAL_INIT)
#error "include resnet_classifier.hpp before ONNX Runtime's headers, or define ORT_API_MANUAL_INIT"
#endif
#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#if __has_include(<onnxruntime_cxx_api.h>)
#include <onnxruntime_cxx_api.h>
#else
#include <onnxruntime/onnxruntime_cxx_api.h>  // in Apple's frameworks, and below /usr/include
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "resnet/library.hpp"
#include "resnet/runtime.hpp"
#include "resnet/types.hpp"

// An app on a phone has no libraries to look for but those that it is linked with.
#if defined(__APPLE__)
#include <TargetConditionals.h>
#if TARGET_OS_IPHONE && !defined(RESNET_LINKED_ONNXRUNTIME)
#define RESNET_LINKED_ONNXRUNTIME
#endif
#endif

namespace resnet {
namespace detail {

/// Official builds of ONNX Runtime report to their maker, from the moment that they begin to work,
/// unless this is set before.
inline void report_nothing() {
#ifdef _WIN32
  _putenv_s("ORT_DISABLE_TELEMETRY", "1");
#else
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
}

/// Returns the library's one entry. Throws Error: there is no library.
inline const OrtApiBase *onnxruntime_base() {
  static const bool silent = (report_nothing(), true);
  static_cast<void>(silent);
#ifdef RESNET_LINKED_ONNXRUNTIME
  return OrtGetApiBase();
#else
  // The one symbol that is looked up, and the one that no release has changed.
  static const OrtApiBase *const base = [] {
#if defined(_WIN32)
    const std::initializer_list<const char *> names{"onnxruntime.dll"};
#elif defined(__APPLE__)
    const std::initializer_list<const char *> names{"libonnxruntime.dylib",
                                                    "@rpath/libonnxruntime.dylib"};
#else
    const std::initializer_list<const char *> names{"libonnxruntime.so.1", "libonnxruntime.so"};
#endif
    using Get = const OrtApiBase *(ORT_API_CALL *)();
    return reinterpret_cast<Get>(library_symbol(names, "OrtGetApiBase", "ONNX Runtime"))();
  }();
  return base;
#endif
}

/// Makes the C++ API usable. Throws Error: the library is missing, or older than the model needs.
inline void init_onnxruntime(const RuntimeChoice &choice) {
  const OrtApiBase *base = onnxruntime_base();
  // Asked first: for a version that it does not have, the library prints a message of its own.
  check_release(choice, base->GetVersionString());
  // One assignment, however many threads open classifiers.
  static const OrtApi *const api = base->GetApi(choice.api_version);
  static const bool set = (Ort::InitApi(api), true);
  if (api == nullptr || !set) {
    throw Error(Code::no_runtime, std::string("ONNX Runtime ") + base->GetVersionString() +
                                      " lacks the C API of " + choice.min_version);
  }
}

inline Error onnxruntime_failure(const Ort::Exception &error) {
  return Error(Code::runtime, std::string("ONNX Runtime ") +
                                  onnxruntime_base()->GetVersionString() + ": " + error.what());
}

inline Error unusable(const Setting &setting) {
  return Error(Code::no_runtime, std::string("the session option ") + setting.key + "=" +
                                     setting.value + " can't be set by ONNX Runtime's C++ API");
}

/// 0, false and 1, true; else the setting is unusable.
inline bool switched_on(const Setting &setting) {
  const std::string_view value = setting.value;
  if (value == "1" || value == "true" || value == "True") return true;
  if (value == "0" || value == "false" || value == "False") return false;
  throw unusable(setting);
}

inline int whole_number(const Setting &setting) {
  char *end = nullptr;
  const long value = std::strtol(setting.value, &end, 10);
  if (end == setting.value || *end != '\0' || value < 0 || value > 1 << 20) throw unusable(setting);
  return static_cast<int>(value);
}

inline GraphOptimizationLevel optimization_level(const Setting &setting) {
  constexpr std::pair<const char *, GraphOptimizationLevel> levels[] = {
      {"DISABLE_ALL", ORT_DISABLE_ALL},         {"0", ORT_DISABLE_ALL},
      {"ENABLE_BASIC", ORT_ENABLE_BASIC},       {"1", ORT_ENABLE_BASIC},
      {"ENABLE_EXTENDED", ORT_ENABLE_EXTENDED}, {"2", ORT_ENABLE_EXTENDED},
      {"ENABLE_ALL", ORT_ENABLE_ALL},           {"99", ORT_ENABLE_ALL},
  };
  std::string_view value = setting.value;
  if (value.substr(0, 4) == "ORT_") value.remove_prefix(4);
  for (const auto &[name, level] : levels) {
    if (value == name) return level;
  }
  throw unusable(setting);
}

/// Sets one option: an entry of the session's configuration, whose keys have a dot, or what Python
/// calls an attribute of SessionOptions. Throws Error: there is no such attribute here.
inline void apply(const Setting &setting, Ort::SessionOptions &options) {
  const std::string_view key = setting.key, value = setting.value;
  if (key.find('.') != std::string_view::npos) {
    options.AddConfigEntry(setting.key, setting.value);
  } else if (key == "intra_op_num_threads") {
    options.SetIntraOpNumThreads(whole_number(setting));
  } else if (key == "inter_op_num_threads") {
    options.SetInterOpNumThreads(whole_number(setting));
  } else if (key == "enable_mem_pattern") {
    switched_on(setting) ? options.EnableMemPattern() : options.DisableMemPattern();
  } else if (key == "enable_cpu_mem_arena") {
    switched_on(setting) ? options.EnableCpuMemArena() : options.DisableCpuMemArena();
  } else if (key == "execution_mode") {
    const bool parallel = value == "PARALLEL" || value == "ORT_PARALLEL" || value == "1";
    if (!parallel && value != "SEQUENTIAL" && value != "ORT_SEQUENTIAL" && value != "0") {
      throw unusable(setting);
    }
    options.SetExecutionMode(parallel ? ORT_PARALLEL : ORT_SEQUENTIAL);
  } else if (key == "graph_optimization_level") {
    options.SetGraphOptimizationLevel(optimization_level(setting));
  } else {
    throw unusable(setting);
  }
}

inline Ort::SessionOptions session_options(const RuntimeChoice &choice, const Options &options) {
  Ort::SessionOptions made;
  made.SetIntraOpNumThreads(threads_of(choice, options));
  made.SetInterOpNumThreads(1);
  made.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  made.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  const bool spin = options.spin && choice.spin;
  made.AddConfigEntry("session.intra_op.allow_spinning", spin ? "1" : "0");
  // Of a file in ORT format, whose fusions are saved beside the graph; without them an int8 file
  // runs in float. It was checked before, so it may be trusted.
  made.AddConfigEntry("session.enable_saved_runtime_optimizations", "1");
  for (std::size_t i = 0; i < choice.setting_count; ++i) apply(choice.settings[i], made);
  if (options.threads != 0) made.SetIntraOpNumThreads(options.threads);  // whatever was tuned
  return made;
}

/// The same with the XNNPACK provider, whose threads are its own: ONNX Runtime's documentation wants
/// one thread of the session's, which does not spin, beside them.
///
/// Throws Ort::Exception: the library was built without it.
inline Ort::SessionOptions xnnpack_session_options(const RuntimeChoice &choice,
                                                   const Options &options) {
  Ort::SessionOptions made = session_options(choice, options);
  const int threads = threads_of(choice, options);
  const int own = threads != 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
  made.SetIntraOpNumThreads(1);
  made.AddConfigEntry("session.intra_op.allow_spinning", "0");
  std::unordered_map<std::string, std::string> provider;
  provider["intra_op_num_threads"] = std::to_string(std::max(own, 1));
  made.AppendExecutionProvider("XNNPACK", provider);
  return made;
}

inline Ort::Env quiet_environment() {
  Ort::Env made(ORT_LOGGING_LEVEL_FATAL, "resnet");
  made.DisableTelemetryEvents();  // where the program had ONNX Runtime begin before this did
  return made;
}

constexpr ONNXTensorElementDataType onnx_type(Element element) {
  switch (element) {
    case Element::float32:
      break;
    case Element::uint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case Element::int64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

constexpr std::size_t size_of(Element element) {
  return element == Element::uint8 ? 1 : element == Element::float32 ? 4 : 8;
}

}  // namespace detail

/// One session of ONNX Runtime.
class OnnxRuntime final : public Runtime {
 public:
  /// Throws Error: ONNX Runtime is missing or too old, or refuses the model or an option.
  OnnxRuntime(const RuntimeChoice &choice, const char *input_name, std::string_view model,
              const Options &options)
      : session_(choice, input_name, model, options) {}

  std::unique_ptr<Request> request() override { return std::make_unique<Bound>(session_); }
  const char *name() const override { return title(RuntimeKind::onnxruntime); }
  const char *version() const override { return detail::onnxruntime_base()->GetVersionString(); }
  std::string notice() const override { return session_.notice; }

 private:
  struct Session {
    Session(const RuntimeChoice &choice, const char *input, std::string_view model,
            const Options &options)
        : input_name((detail::init_onnxruntime(choice), input)) {
      try {
        environment = detail::quiet_environment();
        open(choice, model, options);
        cpu = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
        const Ort::AllocatorWithDefaultOptions allocator;
        for (std::size_t i = 0; i < handle.GetOutputCount(); ++i) {
          output_names.emplace_back(handle.GetOutputNameAllocated(i, allocator).get());
          const auto info = handle.GetOutputTypeInfo(i);
          output_shapes.push_back(info.GetTensorTypeAndShapeInfo().GetShape());
        }
      } catch (const Ort::Exception &error) {
        throw detail::onnxruntime_failure(error);
      }
    }

    /// Where XNNPACK is asked for and not available, the session is one without.
    void open(const RuntimeChoice &choice, std::string_view model, const Options &options) {
      if (options.xnnpack) {
        try {
          handle = Ort::Session(environment, model.data(), model.size(),
                                detail::xnnpack_session_options(choice, options));
          return;
        } catch (const Ort::Exception &error) {
          notice = std::string("XNNPACK can't be used, and ONNX Runtime ") +
                   detail::onnxruntime_base()->GetVersionString() +
                   " runs without it: " + error.what();
          notice.erase(notice.find_last_not_of(' ') + 1);
        }
      }
      handle = Ort::Session(environment, model.data(), model.size(),
                            detail::session_options(choice, options));
    }

    std::string input_name;  // first: without the API even empty handles can't be freed
    Ort::Env environment{nullptr};
    Ort::Session handle{nullptr};
    Ort::MemoryInfo cpu{nullptr};
    std::vector<std::string> output_names;
    std::vector<std::vector<std::int64_t>> output_shapes;
    std::string notice;
  };

  /// A binding of the session to the caller's memory.
  class Bound final : public Request {
   public:
    explicit Bound(Session &session) : session_(session) {}

    void run(const Input &input, const Output *outputs, std::size_t output_count) override {
      try {
        bind(input, outputs, output_count);
        session_.handle.Run(Ort::RunOptions{nullptr}, binding_);
      } catch (const Ort::Exception &error) {
        throw detail::onnxruntime_failure(error);
      }
    }

   private:
    /// Nothing is left to do where the last call had the same memory and shape.
    void bind(const Input &input, const Output *outputs, std::size_t count) {
      const bool same = input_.data == input.data && input_.shape == input.shape &&
                        std::equal(outputs_.begin(), outputs_.end(), outputs, outputs + count,
                                   [](const Output &a, const Output &b) {
                                     return a.data == b.data && a.count == b.count;
                                   });
      if (same) return;
      input_.data = nullptr;
      // ONNX Runtime writes to no input, but takes no const pointer.
      input_value_ = Ort::Value::CreateTensor(session_.cpu, const_cast<void *>(input.data),
                                              input.bytes, input.shape.data(), input.shape.size(),
                                              detail::onnx_type(input.element));
      binding_ = Ort::IoBinding(session_.handle);
      binding_.BindInput(session_.input_name.c_str(), input_value_);
      output_values_.clear();
      for (std::size_t i = 0; i < count; ++i) {
        set_shape(outputs[i], input.shape[0]);
        output_values_.push_back(Ort::Value::CreateTensor(
            session_.cpu, outputs[i].data, outputs[i].count * detail::size_of(outputs[i].element),
            shape_.data(), shape_.size(), detail::onnx_type(outputs[i].element)));
        binding_.BindOutput(outputs[i].name, output_values_.back());
      }
      outputs_.assign(outputs, outputs + count);
      input_ = input;
    }

    /// Sets shape_ to what an output must have, or else to what the file says of it; what that leaves
    /// open follows from the count.
    void set_shape(const Output &output, std::int64_t batch) {
      if (output.shape != nullptr) {
        shape_.assign(output.shape, output.shape + output.rank);
        shape_.insert(shape_.begin(), batch);
        return;
      }
      const auto found =
          std::find(session_.output_names.begin(), session_.output_names.end(), output.name);
      if (found == session_.output_names.end()) {
        throw Error(Code::bad_bundle, std::string("the model has no output ") + output.name);
      }
      shape_ = session_.output_shapes[static_cast<std::size_t>(
          found - session_.output_names.begin())];
      shape_.resize(std::max<std::size_t>(shape_.size(), 2), -1);
      shape_[0] = batch;
      auto left = static_cast<std::int64_t>(output.count) / std::max<std::int64_t>(batch, 1);
      for (std::size_t i = 1; i < shape_.size(); ++i) {
        if (shape_[i] > 0) left /= shape_[i];
      }
      for (std::size_t i = 1; i < shape_.size(); ++i) {
        if (shape_[i] <= 0) shape_[i] = std::exchange(left, 1);
      }
    }

    Session &session_;
    Input input_{nullptr, 0, Element::float32, {}};
    std::vector<Output> outputs_;
    std::vector<std::int64_t> shape_;  // kept for its memory
    Ort::Value input_value_{nullptr};
    std::vector<Ort::Value> output_values_;
    Ort::IoBinding binding_{nullptr};
  };

  Session session_;
};

}  // namespace resnet
