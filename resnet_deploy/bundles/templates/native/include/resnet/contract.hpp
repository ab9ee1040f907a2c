// SPDX-License-Identifier: Apache-2.0
// Generated. What the network takes and gives; manifest.json says the same.
#pragma once

#include "resnet/types.hpp"

namespace resnet {

inline constexpr const char *output_names[] = {
{% for name in contract.output_names %}
    {{ name | c_string }},
{% endfor %}
};

inline constexpr Model models[] = {
{% for model in models %}
    Model{ {{- model.file | c_string }}, {{ model.sha256 | c_string }}, {{ model.artifact.precision | c_string }},
          {{ model.tolerances[0] }}},
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
    output_names,
    /* output_count */ {{ contract.output_names | length }},
    OutputKind::{{ output_kind }},
    /* batch */ {{ contract.batch or 0 }},
    /* classes */ {{ contract.num_classes }},
    /* k */ {{ contract.k }},
    /* labels_file */ {{ (labels_file or "") | c_string }},
    models,
    /* model_count */ {{ models | length }},
    /* min_onnxruntime */ {{ min_onnxruntime | c_string }},
    /* api_version */ {{ api_version }},
};

}  // namespace resnet
