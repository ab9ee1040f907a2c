// SPDX-License-Identifier: Apache-2.0
// Picture files to RGB pixels, number for number as Python reads them: upright, transparent parts
// laid on white, colour profiles ignored, of an animation the first frame.
//
//   const resnet::OwnedPicture picture = resnet::read_picture("photo.jpg");
//   classifier.classify(picture.view(), top.data(), top.size());
//
// JPEG, PNG and WebP need libjpeg-turbo, libpng and libwebp: RESNET_HAS_JPEG, RESNET_HAS_PNG and
// RESNET_HAS_WEBP say which are there (CMake's target resnet_pictures sets them). PPM, PGM, PBM,
// GIF and BMP need nothing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "resnet/decode_bmp.hpp"
#include "resnet/decode_gif.hpp"
#include "resnet/decoding.hpp"
#include "resnet/files.hpp"
#include "resnet/netpbm.hpp"

#ifdef RESNET_HAS_JPEG
#include "resnet/decode_jpeg.hpp"
#endif
#ifdef RESNET_HAS_PNG
#include "resnet/decode_png.hpp"
#endif
#ifdef RESNET_HAS_WEBP
#include "resnet/decode_webp.hpp"
#endif

namespace resnet {
namespace detail {

[[noreturn]] inline void needs_library(const std::string &where, const char *format,
                                       const char *package) {
  bad_image(where, std::string("is a ") + format + " file, and this program was built without it: "
                       "install the library (Debian: " + package +
                       ") and build again in a new folder, or save the picture as PPM");
}

/// Names what a file is that is not read here; empty: unknown.
inline std::string unread_format(std::string_view data) {
  const std::string_view box = data.size() < 8 ? std::string_view() : data.substr(4, 4);
  if (data.substr(0, 4) == std::string_view("II*\0", 4) ||
      data.substr(0, 4) == std::string_view("MM\0*", 4) || data.substr(0, 3) == "II+") {
    return "a TIFF file";
  }
  if (box == "ftyp") return "an AVIF or HEIC file";
  if (box == "jP  " || data.substr(0, 4) == "\xff\x4f\xff\x51") return "a JPEG 2000 file";
  if (data.substr(0, 4) == std::string_view("\0\0\1\0", 4)) return "an icon";
  if (data.substr(0, 4) == "8BPS") return "a Photoshop file";
  if (data.substr(0, 2) == "Pf" || data.substr(0, 2) == "PF") return "a PFM file of floats";
  return {};
}

}  // namespace detail

/// Returns the picture in the bytes of a file; `where` is its name in messages.
///
/// Throws Error: it is damaged, truncated, too large, or of a format that is not read here.
inline OwnedPicture decode_picture(std::string_view data, const std::string &where) {
  const auto starts = [data](std::string_view head) { return data.substr(0, head.size()) == head; };
  if (starts("P4") || starts("P5") || starts("P6")) return read_netpbm(data, where);
  if (starts("P1") || starts("P2") || starts("P3")) {
    detail::bad_image(where, "is a netpbm file in plain text: save it in binary");
  }
  if (starts("GIF87a") || starts("GIF89a")) return detail::decode_gif(data, where);
  if (starts("BM")) return detail::decode_bmp(data, where);
  if (starts("\xff\xd8\xff")) {
#ifdef RESNET_HAS_JPEG
    return detail::decode_jpeg(data, where);
#else
    detail::needs_library(where, "JPEG", "libjpeg62-turbo-dev");
#endif
  }
  if (starts("\x89PNG\r\n\x1a\n")) {
#ifdef RESNET_HAS_PNG
    return detail::decode_png(data, where);
#else
    detail::needs_library(where, "PNG", "libpng-dev");
#endif
  }
  if (data.size() >= 12 && starts("RIFF") && data.substr(8, 4) == "WEBP") {
#ifdef RESNET_HAS_WEBP
    return detail::decode_webp(data, where);
#else
    detail::needs_library(where, "WebP", "libwebp-dev");
#endif
  }
  const std::string format = detail::unread_format(data);
  if (!format.empty()) {
    detail::bad_image(where, "is " + format + ", which is not read here: save it as PNG or JPEG");
  }
  detail::bad_image(where,
                    "is not a JPEG, PNG, WebP, GIF, BMP, PPM, PGM or PBM file, or it is damaged");
}

/// Returns the picture in a file. Throws Error as decode_picture, and if it can't be read.
inline OwnedPicture read_picture(const std::filesystem::path &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    detail::bad_image(utf8(path), "is a folder: name the pictures in it");
  }
  return decode_picture(read_file(path), utf8(path));
}

}  // namespace resnet
