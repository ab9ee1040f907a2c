// SPDX-License-Identifier: Apache-2.0
// WebP by libwebp and its demuxer; of an animation the first frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

/// A file in libwebp's hands, and its first frame.
class WebpFile {
 public:
  explicit WebpFile(std::string_view data)
      : whole_{reinterpret_cast<const std::uint8_t *>(data.data()), data.size()},
        demuxer_(WebPDemux(&whole_)) {
    has_frame_ = demuxer_ != nullptr && WebPDemuxGetFrame(demuxer_, 1, &frame_) != 0;
  }
  ~WebpFile() {
    if (has_frame_) WebPDemuxReleaseIterator(&frame_);
    WebPDemuxDelete(demuxer_);
  }
  WebpFile(const WebpFile &) = delete;
  WebpFile &operator=(const WebpFile &) = delete;

  bool is_whole() const { return demuxer_ != nullptr; }
  std::int64_t width() const { return WebPDemuxGetI(demuxer_, WEBP_FF_CANVAS_WIDTH); }
  std::int64_t height() const { return WebPDemuxGetI(demuxer_, WEBP_FF_CANVAS_HEIGHT); }

  /// Decodes the frame where it lies on a canvas of `channels` bytes a pixel, 3 or 4; false: it
  /// can't be decoded.
  bool decode(std::vector<std::uint8_t> &canvas, std::size_t channels) const {
    WebPDecoderConfig config;
    if (!has_frame_ || WebPInitDecoderConfig(&config) == 0) return false;
    if (frame_.x_offset < 0 || frame_.x_offset + std::int64_t{frame_.width} > width() ||
        frame_.y_offset < 0 || frame_.y_offset + std::int64_t{frame_.height} > height()) {
      return false;
    }
    const auto stride = static_cast<std::size_t>(width()) * channels;
    const std::size_t start = static_cast<std::size_t>(frame_.y_offset) * stride +
                              static_cast<std::size_t>(frame_.x_offset) * channels;
    config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = canvas.data() + start;
    config.output.u.RGBA.stride = static_cast<int>(stride);
    config.output.u.RGBA.size = canvas.size() - start;
    return WebPDecode(frame_.fragment.bytes, frame_.fragment.size, &config) == VP8_STATUS_OK;
  }

 private:
  WebPData whole_;
  WebPDemuxer *demuxer_;
  WebPIterator frame_{};
  bool has_frame_ = false;
};

/// The pixels as they are stored. libwebp's decoder of animations would keep two canvases.
inline OwnedPicture webp_pixels(std::string_view data, const std::string &where) {
  if (data.substr(12, 4) == "VP8X") {
    const ByteReader header(data, where);
    const auto side = [&](std::size_t at) { return header.le16(at) + (header.byte(at + 2) << 16); };
    check_size(side(24) + 1, side(27) + 1, where);
  }
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(
      reinterpret_cast<const std::uint8_t *>(data.data()), data.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) is_truncated(where);
  if (status != VP8_STATUS_OK) is_damaged(where, "its header");
  check_size(features.width, features.height, where);
  const WebpFile file(data);
  if (!file.is_whole()) is_truncated(where);
  check_size(file.width(), file.height(), where);
  const char *const why = "its first frame, or it ends too early";
  if (features.has_alpha == 0) {
    OwnedPicture picture = room_for(file.width(), file.height());
    if (!file.decode(picture.rgb, 3)) is_damaged(where, why);
    return picture;
  }
  std::vector<std::uint8_t> canvas(static_cast<std::size_t>(file.width() * file.height()) * 4);
  if (!file.decode(canvas, 4)) is_damaged(where, why);
  OwnedPicture picture = room_for(file.width(), file.height());
  composite(canvas.data(), picture.rgb.size() / 3, picture.rgb.data());
  return picture;
}

/// The decoder's memory is given back before a second picture is made.
inline OwnedPicture decode_webp(std::string_view data, const std::string &where) {
  return upright(webp_pixels(data, where), webp_turned(data, where).orientation());
}

}  // namespace detail
}  // namespace resnet
