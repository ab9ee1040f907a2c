// SPDX-License-Identifier: Apache-2.0
// Generated. The golden cases: pictures, the exact inputs that they become, and the answers.
#pragma once

#include <cstddef>

namespace resnet::golden {

struct Case {
  const char *name;
  const char *picture;  ///< binary PPM or PGM
  const char *input;    ///< the input tensor without a batch, little-endian
};

struct Answer {
  const char *scores;  ///< little-endian float32
  int top1;
  bool top1_is_decided;  ///< no difference within the tolerance can change the best class
};

inline constexpr Case cases[] = {
{% for case in cases %}
    Case{ {{- case.name | c_string }}, {{ case.image_file | c_string }}, {{ case.tensor_file | c_string }}},
{% endfor %}
};

inline constexpr std::size_t case_count = {{ cases | length }};

/// One row for each of resnet::models, one answer for each case.
inline constexpr Answer answers[][case_count] = {
{% for model in models %}
    {
{% for case in cases %}
        Answer{ {{- model.scores_file(case, runtimes[0]) | c_string }}, {{ model.answers[0][loop.index0].top1 }}, {{ "true" if model.top1_is_decided(0, loop.index0) else "false" }}},
{% endfor %}
    },
{% endfor %}
};

}  // namespace resnet::golden
