// SPDX-License-Identifier: Apache-2.0
// OpenVINO, from the module libresnet_openvino, which is opened while the program runs: a host
// without OpenVINO has no module that can be loaded, and that is an error and no crash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "resnet/library.hpp"
#include "resnet/openvino_table.h"
#include "resnet/runtime.hpp"
#include "resnet/types.hpp"

namespace resnet {
namespace detail {

/// Throws Error: there is no module, none that can be loaded, or one of another bundle.
inline const resnet_openvino_table &openvino_table() {
  static const resnet_openvino_table *const table = [] {
#if defined(_WIN32)
    const std::initializer_list<const char *> names{"resnet_openvino.dll"};
#elif defined(__APPLE__)
    const std::initializer_list<const char *> names{"libresnet_openvino.dylib",
                                                    "@rpath/libresnet_openvino.dylib"};
#else
    const std::initializer_list<const char *> names{"libresnet_openvino.so"};
#endif
    using Get = const resnet_openvino_table *(*)();
    const auto *found =
        reinterpret_cast<Get>(library_symbol(names, "resnet_openvino", "OpenVINO"))();
    if (found->table != RESNET_OPENVINO_TABLE) {
      throw Error(Code::no_runtime, "libresnet_openvino is of another release of this bundle: "
                                    "build all of it again");
    }
    return found;
  }();
  return *table;
}

/// The properties of OpenVINO's CPU device: one stream for the lowest latency, float parts in
/// float32, threads that are not tied to cores; what was tuned wins, and what the caller asks for.
inline std::map<std::string, std::string> openvino_properties(const RuntimeChoice &choice,
                                                              const Options &options) {
  std::map<std::string, std::string> made;
  made["PERFORMANCE_HINT"] = "LATENCY";
  made["NUM_STREAMS"] = "1";
  made["INFERENCE_PRECISION_HINT"] = "f32";
  made["ENABLE_CPU_PINNING"] = "NO";
  const int threads = threads_of(choice, options);
  if (threads > 0) made["INFERENCE_NUM_THREADS"] = std::to_string(threads);
  for (std::size_t i = 0; i < choice.setting_count; ++i) {
    const Setting &setting = choice.settings[i];
    if (options.threads != 0 && std::string_view(setting.key) == "INFERENCE_NUM_THREADS") continue;
    made[setting.key] = setting.value;
  }
  return made;
}

/// Memory for what the module says, without an allocation.
class OpenVinoMessage {
 public:
  resnet_openvino_message room() { return {text_.data(), text_.size()}; }
  Error error() const {
    return Error(Code::runtime,
                 std::string("OpenVINO ") + openvino_table().version + ": " + text_.data());
  }

 private:
  std::array<char, 512> text_{};
};

constexpr std::int32_t openvino_element(Element element) {
  return element == Element::float32 ? RESNET_ELEMENT_FLOAT32
         : element == Element::uint8 ? RESNET_ELEMENT_UINT8
                                     : RESNET_ELEMENT_INT64;
}

/// Throws Error: the host does not tell its CPUs, for which OpenVINO 2026.4 would look without end.
inline void check_told_cpus() {
#ifdef __linux__
  std::error_code ignored;
  for (const char *place : {"/proc/cpuinfo", "/sys/devices/system/cpu/cpu0"}) {
    if (std::filesystem::exists(place, ignored)) return;
  }
  throw Error(Code::no_runtime,
              "OpenVINO can't tell the CPUs of this host: mount /proc or /sys where it runs");
#endif
}

}  // namespace detail

/// One model that OpenVINO compiled for its CPU device.
class OpenVino final : public Runtime {
 public:
  /// Throws Error: OpenVINO is missing or too old, or refuses the model or a property.
  OpenVino(const RuntimeChoice &choice, std::string_view model, const Shape &shape,
           const Options &options)
      : xnnpack_(options.xnnpack) {
    detail::check_told_cpus();
    const resnet_openvino_table &table = detail::openvino_table();
    detail::check_release(choice, table.version);
    std::vector<const char *> keys, values;
    const auto properties = detail::openvino_properties(choice, options);
    for (const auto &[key, value] : properties) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    detail::OpenVinoMessage said;
    model_.reset(table.open(model.data(), model.size(), shape.data(), keys.data(), values.data(),
                            keys.size(), said.room()));
    if (!model_) throw said.error();
  }

  std::unique_ptr<Request> request() override { return std::make_unique<Called>(model_.get()); }
  const char *name() const override { return title(RuntimeKind::openvino); }
  const char *version() const override { return detail::openvino_table().version; }
  std::string notice() const override {
    return xnnpack_ ? "XNNPACK is ONNX Runtime's, and OpenVINO runs without it" : "";
  }

 private:
  struct Close {
    void operator()(resnet_openvino_model *model) const { detail::openvino_table().close(model); }
    void operator()(resnet_openvino_request *request) const {
      detail::openvino_table().release(request);
    }
  };

  class Called final : public Request {
   public:
    explicit Called(resnet_openvino_model *model) {
      detail::OpenVinoMessage said;
      request_.reset(detail::openvino_table().request(model, said.room()));
      if (!request_) throw said.error();
    }

    void run(const Input &input, const Output *outputs, std::size_t output_count) override {
      outputs_.clear();
      for (std::size_t i = 0; i < output_count; ++i) {
        const Output &output = outputs[i];
        outputs_.push_back({output.name, output.shape, output.rank,
                            detail::openvino_element(output.element), output.data, output.count});
      }
      detail::OpenVinoMessage said;
      if (detail::openvino_table().run(request_.get(), input.data,
                                       detail::openvino_element(input.element), input.shape.data(),
                                       outputs_.data(), outputs_.size(), said.room()) != 0) {
        throw said.error();
      }
    }

   private:
    std::unique_ptr<resnet_openvino_request, Close> request_;
    std::vector<resnet_openvino_output> outputs_;
  };

  const bool xnnpack_;
  std::unique_ptr<resnet_openvino_model, Close> model_;
};

}  // namespace resnet
