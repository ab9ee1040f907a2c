// SPDX-License-Identifier: Apache-2.0
// WebP by libwebp and its demuxer; of an animation the first frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <webp/decode.h>
#include <webp/demux.h>

#include "resnet/decoding.hpp"

namespace resnet {
namespace detail {

/// EXIF and XMP, which only a file of the extended format can have.
inline Turned webp_turned(std::string_view data, const std::string &where) {
  Turned turned;
  const ByteReader bytes(data, where);
  if (data.substr(12, 4) != "VP8X") return turned;
  for (std::size_t at = 12; data.size() - at >= 8;) {
    const std::size_t length = bytes.le32(at + 4);
    if (length > data.size() - at - 8) break;
    const std::string_view name = data.substr(at, 4), content = data.substr(at + 8, length);
    if (name == "EXIF" && turned.exif.empty()) turned.exif = content;
    if (name == "XMP " && turned.xmp.empty()) turned.xmp = content;
    at += 8 + length;
    if (length % 2 != 0) ++at;
    if (at > data.size()) break;
  }
  return turned;
}

inline OwnedPicture decode_webp(std::string_view data, const std::string &where) {
  if (data.substr(12, 4) == "VP8X") {
    const ByteReader header(data, where);
    const auto side = [&](std::size_t at) { return header.le16(at) + (header.byte(at + 2) << 16); };
    check_size(side(24) + 1, side(27) + 1, where);
  }
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(data.data());
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(bytes, data.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) is_truncated(where);
  if (status != VP8_STATUS_OK) is_damaged(where, "its header");
  check_size(features.width, features.height, where);
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) is_damaged(where, "libwebp is of another version");
  options.color_mode = MODE_RGBA;
  const WebPData whole{bytes, data.size()};
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder *)> decoder(
      WebPAnimDecoderNew(&whole, &options), WebPAnimDecoderDelete);
  std::uint8_t *rgba = nullptr;
  int timestamp = 0;
  WebPAnimInfo info;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0) {
    is_truncated(where);
  }
  check_size(info.canvas_width, info.canvas_height, where);
  if (WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0) {
    is_damaged(where, "its first frame, or it ends too early");
  }
  OwnedPicture picture = room_for(info.canvas_width, info.canvas_height);
  const std::size_t pixels = picture.rgb.size() / 3;
  if (features.has_alpha != 0) {
    composite(rgba, pixels, picture.rgb.data());
  } else {
    for (std::size_t i = 0; i < pixels; ++i) {
      for (std::size_t k = 0; k < 3; ++k) picture.rgb[3 * i + k] = rgba[4 * i + k];
    }
  }
  return upright(std::move(picture), webp_turned(data, where).orientation());
}

}  // namespace detail
}  // namespace resnet
