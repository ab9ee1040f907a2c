// SPDX-License-Identifier: Apache-2.0
// Generated. What the network takes and gives; manifest.json says the same.
#pragma once

#include "resnet/types.hpp"

namespace resnet {

{% for output in outputs %}
{% if output.shape %}
inline constexpr std::int64_t shape_{{ loop.index0 | number }}[] = { {{- output.shape | numbers }}};
{% endif %}
{% endfor %}

inline constexpr OutputInfo outputs[] = {
{% for output in outputs %}
    OutputInfo{ {{- output.name | c_string }}, {% if output.shape %}shape_{{ loop.index0 | number }}{% else %}nullptr{% endif %}, {{ output.shape | length | number }}, {{ output.size | number }}, {{ output.every | number }}},
{% endfor %}
};

{% for choice in choices if choice.settings %}
inline constexpr Setting {{ choice.settings | word }}[] = {
{% for key, value in choice.runtime.options %}
    { {{- key | c_string }}, {{ value | c_string }}},
{% endfor %}
};

{% endfor %}
/// In the order in which they are tried.
inline constexpr RuntimeChoice runtimes[] = {
{% for choice in choices %}
    RuntimeChoice{
        /* kind */ RuntimeKind::{{ choice.kind | word }},
        /* threads */ {{ choice.runtime.threads | number }},
        /* spin */ {{ "true" if choice.runtime.spin else "false" }},
        /* settings */ {{ choice.settings | word if choice.settings else "nullptr" }},
        /* setting_count */ {{ choice.runtime.options | length | number }},
        /* min_version */ {{ choice.runtime.min_version | c_string }},
        /* api_version */ {{ choice.api_version | number }},
    },
{% endfor %}
};

/// One row for each of the models, one bound for each of the runtimes.
inline constexpr double tolerances[][{{ choices | length | number }}] = {
{% for model in models %}
    { {{- rows[loop.index0] | map(attribute="tolerance") | numbers }}},
{% endfor %}
};

inline constexpr Model models[] = {
{% for model in models %}
    Model{ {{- model.file | c_string }}, {{ model.sha256 | c_string }}, {{ model.artifact.precision | c_string }},
          tolerances[{{ loop.index0 | number }}]},
{% endfor %}
};

inline constexpr Contract bundle_contract{
    /* name */ {{ contract.name | c_string }},
    Preprocess{
        /* height */ {{ preprocess.height | number }},
        /* width */ {{ preprocess.width | number }},
        /* rows */ {{ preprocess.resize[0] | number }},
        /* columns */ {{ preprocess.resize[1] | number }},
        ResizeMode::{{ resize_mode | word }},
        Interpolation::{{ interpolation | word }},
        ChannelOrder::{{ channel_order | word }},
        Format::{{ format | word }},
        /* resize_in_graph */ {{ "true" if preprocess.resize_in_graph else "false" }},
        /* divisor */ {{ divisor | written }},
        /* lowest */ {{ lowest | written }},
        /* mean */ { {{- mean | written }}},
        /* deviation */ { {{- deviation | written }}},
    },
    /* input_name */ {{ contract.input_name | c_string }},
    outputs,
    /* output_count */ {{ outputs | length | number }},
    /* classes_name */ {{ contract.output_names[1] | c_string if contract.k else "nullptr" }},
    OutputKind::{{ output_kind | word }},
    /* batch */ {{ (contract.batch or 0) | number }},
    /* classes */ {{ contract.num_classes | number }},
    /* k */ {{ contract.k | number }},
    /* labels_file */ {{ (labels_file or "") | c_string }},
    models,
    /* model_count */ {{ models | length | number }},
    runtimes,
    /* runtime_count */ {{ choices | length | number }},
};

}  // namespace resnet
