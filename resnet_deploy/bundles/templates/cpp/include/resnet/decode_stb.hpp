// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG by stb_image, for where their libraries can't be had: CMake's -DRESNET_STB=ON.
//
// These are not Python's pixels: levels of a JPEG differ by a few, transparency is dropped, and the
// camera's orientation is not read.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

#include "resnet/decoding.hpp"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace resnet {
namespace detail {

inline OwnedPicture decode_stb(std::string_view data, const std::string &where) {
  const auto *bytes = reinterpret_cast<const stbi_uc *>(data.data());
  if (data.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    bad_image(where, "is too large for stb_image");
  }
  const int count = static_cast<int>(data.size());
  int width = 0, height = 0;
  if (stbi_info_from_memory(bytes, count, &width, &height, nullptr) == 0) {
    is_damaged(where, stbi_failure_reason());
  }
  check_size(width, height, where);
  stbi_uc *rgb = stbi_load_from_memory(bytes, count, &width, &height, nullptr, 3);
  if (rgb == nullptr) is_damaged(where, stbi_failure_reason());
  OwnedPicture picture = room_for(width, height);
  picture.rgb.assign(rgb, rgb + picture.rgb.size());
  stbi_image_free(rgb);
  return picture;
}

}  // namespace detail
}  // namespace resnet
