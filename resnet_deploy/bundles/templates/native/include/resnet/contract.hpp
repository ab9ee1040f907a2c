// SPDX-License-Identifier: Apache-2.0
// Generated. What the network takes and gives; manifest.json says the same.
#pragma once

#include "resnet/types.hpp"

namespace resnet {

{% for output in outputs %}
{% if output.shape %}
inline constexpr std::int64_t shape_{{ loop.index0 }}[] = { {{- output.shape | join(", ") }}};
{% endif %}
{% endfor %}

inline constexpr OutputInfo outputs[] = {
{% for output in outputs %}
    OutputInfo{ {{- output.name | c_string }}, {{ "shape_%d" % loop.index0 if output.shape else "nullptr" }}, {{ output.shape | length }}, {{ output.size }}, {{ output.every }}},
{% endfor %}
};

{% for choice in choices if choice.settings %}
inline constexpr Setting {{ choice.settings }}[] = {
{% for key, value in choice.runtime.options %}
    { {{- key | c_string }}, {{ value | c_string }}},
{% endfor %}
};

{% endfor %}
/// In the order in which they are tried.
inline constexpr RuntimeChoice runtimes[] = {
{% for choice in choices %}
    RuntimeChoice{
        /* kind */ RuntimeKind::{{ choice.kind }},
        /* threads */ {{ choice.runtime.threads }},
        /* spin */ {{ "true" if choice.runtime.spin else "false" }},
        /* settings */ {{ choice.settings or "nullptr" }},
        /* setting_count */ {{ choice.runtime.options | length }},
        /* min_version */ {{ choice.runtime.min_version | c_string }},
        /* api_version */ {{ choice.api_version }},
    },
{% endfor %}
};

/// One row for each of the models, one bound for each of the runtimes.
inline constexpr double tolerances[][{{ choices | length }}] = {
{% for model in models %}
    { {{- rows[loop.index0] | map(attribute="tolerance") | join(", ") }}},
{% endfor %}
};

inline constexpr Model models[] = {
{% for model in models %}
    Model{ {{- model.file | c_string }}, {{ model.sha256 | c_string }}, {{ model.artifact.precision | c_string }},
          tolerances[{{ loop.index0 }}]},
{% endfor %}
};

inline constexpr Contract bundle_contract{
    /* name */ {{ contract.name | c_string }},
    Preprocess{
        /* height */ {{ preprocess.height }},
        /* width */ {{ preprocess.width }},
        /* rows */ {{ preprocess.resize[0] }},
        /* columns */ {{ preprocess.resize[1] }},
        ResizeMode::{{ resize_mode }},
        Interpolation::{{ interpolation }},
        ChannelOrder::{{ channel_order }},
        Format::{{ format }},
        /* resize_in_graph */ {{ "true" if preprocess.resize_in_graph else "false" }},
        /* divisor */ {{ divisor }},
        /* lowest */ {{ lowest }},
        /* mean */ { {{- mean }}},
        /* deviation */ { {{- deviation }}},
    },
    /* input_name */ {{ contract.input_name | c_string }},
    outputs,
    /* output_count */ {{ outputs | length }},
    /* classes_name */ {{ contract.output_names[1] | c_string if contract.k else "nullptr" }},
    OutputKind::{{ output_kind }},
    /* batch */ {{ contract.batch or 0 }},
    /* classes */ {{ contract.num_classes }},
    /* k */ {{ contract.k }},
    /* labels_file */ {{ (labels_file or "") | c_string }},
    models,
    /* model_count */ {{ models | length }},
    runtimes,
    /* runtime_count */ {{ choices | length }},
};

}  // namespace resnet
