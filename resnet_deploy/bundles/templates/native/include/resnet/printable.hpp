// SPDX-License-Identifier: Apache-2.0
// Names out of files, as a terminal may show them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace resnet {
namespace detail {

/// Returns how many bytes of UTF-8 a terminal would obey at the start of `text`: a control
/// character, a separator of lines, or a mark that turns the direction of writing.
inline std::size_t obeyed(std::string_view text) {
  const auto byte = [text](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
  };
  const auto is_in = [](unsigned value, unsigned first, unsigned last) {
    return value >= first && value <= last;
  };
  if (byte(0) < 0x20 || byte(0) == 0x7f) return 1;
  if (byte(0) == 0xc2 && is_in(byte(1), 0x80, 0x9f)) return 2;  // U+0080 to U+009F
  if (byte(0) == 0xd8 && byte(1) == 0x9c) return 2;             // U+061C
  if (byte(0) != 0xe2) return 0;
  const bool general = byte(1) == 0x80 && (is_in(byte(2), 0x8e, 0x8f) ||  // U+200E, U+200F
                                           is_in(byte(2), 0xa8, 0xae));   // U+2028 to U+202E
  return general || (byte(1) == 0x81 && is_in(byte(2), 0xa6, 0xa9)) ? 3 : 0;  // U+2066 to U+2069
}

}  // namespace detail

/// Returns UTF-8 with a question mark in place of each character that a terminal would obey.
inline std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t obeyed = detail::obeyed(text);
    shown += obeyed > 0 ? '?' : text.front();
    text.remove_prefix(obeyed > 0 ? obeyed : 1);
  }
  return shown;
}

}  // namespace resnet
