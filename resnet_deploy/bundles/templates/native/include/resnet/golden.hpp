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
  const char *scores;  ///< little-endian float32, one output behind the other
  int top1;  ///< 0 where there are no classes
  bool top1_is_decided;  ///< no difference within the tolerance can change the best class
};

inline constexpr Case cases[] = {
{% for case in cases %}
    Case{ {{- case.name | c_string }}, {{ case.image_file | c_string }}, {{ case.tensor_file | c_string }}},
{% endfor %}
};

inline constexpr std::size_t case_count = {{ cases | length | number }};

/// For each of resnet::models and of resnet::runtimes one answer for each case. A file that does not
/// run on a runtime has a negative tolerance, and answers of nothing.
inline constexpr Answer answers[][{{ choices | length | number }}][case_count] = {
{% for model in models %}
    {
{% for row in rows[loop.index0] %}
        {
{% for answer in row.answers %}
            Answer{ {{- answer.scores | c_string }}, {{ answer.top1 | number }}, {{ "true" if answer.is_decided else "false" }}},
{% endfor %}
        },
{% endfor %}
    },
{% endfor %}
};

}  // namespace resnet::golden
