// SPDX-License-Identifier: Apache-2.0
// Generated. Opens a model on one of the runtimes of this bundle.
#pragma once

#include <memory>
#include <string>
#include <string_view>

{% for runtime in runtimes %}
{% if runtime.kind.value == "ort" %}
#include "resnet/onnxruntime.hpp"
{% else %}
#include "resnet/openvino.hpp"
{% endif %}
{% endfor %}
#include "resnet/runtime.hpp"
#include "resnet/types.hpp"

namespace resnet::detail {

/// Throws Error: the runtime is missing or too old, or refuses the model or an option.
inline std::unique_ptr<Runtime> open_runtime(const RuntimeChoice &choice,
                                             [[maybe_unused]] const char *input_name,
                                             std::string_view model,
                                             [[maybe_unused]] const Shape &shape,
                                             const Options &options) {
{% for runtime in runtimes %}
{% if runtime.kind.value == "ort" %}
  if (choice.kind == RuntimeKind::onnxruntime) {
    return std::make_unique<OnnxRuntime>(choice, input_name, model, options);
  }
{% else %}
  if (choice.kind == RuntimeKind::openvino) {
    return std::make_unique<OpenVino>(choice, model, shape, options);
  }
{% endif %}
{% endfor %}
  throw Error(Code::no_runtime, std::string("this bundle has no code for ") + title(choice.kind));
}

}  // namespace resnet::detail
