// SPDX-License-Identifier: Apache-2.0
// JPEG by libjpeg-turbo, with the settings and verdicts of Pillow.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include <jerror.h>

#include "resnet/decoding.hpp"

namespace resnet {
namespace detail {

/// What lies in the segments before the first scan: EXIF in APP1, in several parts where it is
/// long, and XMP.
inline Turned jpeg_turned(std::string_view data) {
  const std::string_view exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29);
  Turned turned;
  std::size_t at = 2;
  const auto byte = [data](std::size_t i) { return static_cast<std::uint8_t>(data[i]); };
  while (at + 4 <= data.size()) {
    if (byte(at) != 0xff || byte(at + 1) == 0xff || byte(at + 1) == 0) {
      ++at;
      continue;
    }
    const std::uint8_t marker = byte(at + 1);
    if (marker == 0xda) break;
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd9)) {
      at += 2;
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(byte(at + 2)) << 8 | byte(at + 3);
    if (length < 2 || length > data.size() - at - 2) break;
    const std::string_view content = data.substr(at + 4, length - 2);
    if (marker == 0xe1 && content.substr(0, exif.size()) == exif) {
      turned.exif += turned.exif.empty() ? content : content.substr(exif.size());
    } else if (marker == 0xe1 && content.substr(0, xmp.size()) == xmp) {
      turned.xmp = content.substr(xmp.size());
    }
    at += 2 + length;
  }
  return turned;
}

/// Inks as Adobe stores them, upside down, to RGB as Pillow's convert() computes it.
inline void inks_to_rgb(const std::uint8_t *inks, std::size_t pixels, std::uint8_t *rgb) {
  for (std::size_t i = 0; i < pixels; ++i, inks += 4, rgb += 3) {
    const int white = inks[3];
    for (int channel = 0; channel < 3; ++channel) {
      const int product = (255 - inks[channel]) * white + 128;
      rgb[channel] = static_cast<std::uint8_t>(white - (((product >> 8) + product) >> 8));
    }
  }
}

/// A progressive file has about ten. Each goes over all pixels, however few bytes it has.
constexpr int most_scans = 100;

/// One decompression. What libjpeg refuses comes back as false with a message: it must not unwind
/// C++ objects on its way, so all of them live here.
class JpegDecoder {
 public:
  explicit JpegDecoder(std::string_view data) : data_(data) {
    info_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = [](j_common_ptr info) {
      std::longjmp(reinterpret_cast<Errors *>(info->err)->jump, 1);
    };
    // Warnings are not printed; where data end, reading stops below.
    errors_.manager.output_message = [](j_common_ptr) {};
    progress_.progress_monitor = [](j_common_ptr info) {
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most_scans) return;
      reinterpret_cast<Errors *>(info->err)->many_scans = true;
      std::longjmp(reinterpret_cast<Errors *>(info->err)->jump, 1);
    };
  }
  JpegDecoder(const JpegDecoder &) = delete;
  JpegDecoder &operator=(const JpegDecoder &) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  /// Reads the header; false: see message().
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    source_.init_source = [](j_decompress_ptr) {};
    // Nothing follows: "suspended" then is "truncated", which a source in memory would hide.
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      const std::size_t left = info->src->bytes_in_buffer;
      const std::size_t skipped = count <= 0 ? 0 : static_cast<std::size_t>(count);
      const std::size_t taken = skipped < left ? skipped : left;
      info->src->next_input_byte += taken;
      info->src->bytes_in_buffer -= taken;
    };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
    source_.next_input_byte = reinterpret_cast<const JOCTET *>(data_.data());
    source_.bytes_in_buffer = data_.size();
    info_.src = &source_;
    truncated_ = jpeg_read_header(&info_, TRUE) != JPEG_HEADER_OK;
    return !truncated_;
  }

  int width() const { return static_cast<int>(info_.image_width); }
  int height() const { return static_cast<int>(info_.image_height); }
  int components() const { return info_.num_components; }
  int bits() const { return info_.data_precision; }

  /// Fills the picture from rows of grey, RGB or inks; false: see message().
  bool read_rows(int components, OwnedPicture &picture) {
    const auto width = static_cast<std::size_t>(picture.width);
    line_.resize(width * static_cast<std::size_t>(components));
    if (setjmp(errors_.jump) != 0) return false;
    info_.out_color_space = components == 1   ? JCS_GRAYSCALE
                            : components == 4 ? JCS_CMYK
                                              : JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    info_.do_fancy_upsampling = TRUE;
    truncated_ = jpeg_start_decompress(&info_) == FALSE;
    while (!truncated_ && info_.output_scanline < info_.output_height) {
      std::uint8_t *to = picture.rgb.data() + width * 3 * info_.output_scanline;
      JSAMPROW row = components == 3 ? to : line_.data();
      truncated_ = jpeg_read_scanlines(&info_, &row, 1) == 0;
      if (!truncated_ && components == 1) {
        for (std::size_t i = 0; i < width; ++i, to += 3) to[0] = to[1] = to[2] = line_[i];
      } else if (!truncated_ && components == 4) {
        inks_to_rgb(line_.data(), width, to);
      }
    }
    // A wrong marker behind the last row is an error of Pillow's too, a missing one is not.
    if (!truncated_) jpeg_finish_decompress(&info_);
    return !truncated_;
  }

  bool truncated() const { return truncated_; }

  std::string message() {
    if (errors_.many_scans) return "it has more than " + std::to_string(most_scans) + " scans";
    char text[JMSG_LENGTH_MAX] = "";
    errors_.manager.format_message(reinterpret_cast<j_common_ptr>(&info_), text);
    return text;
  }

 private:
  struct Errors {
    jpeg_error_mgr manager;
    std::jmp_buf jump;
    bool many_scans;
  };
  std::string_view data_;
  Errors errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
  std::vector<std::uint8_t> line_;  // of grey or inks
  bool truncated_ = false;
};

/// The pixels as they are stored.
inline OwnedPicture jpeg_pixels(std::string_view data, const std::string &where) {
  JpegDecoder decoder(data);
  const auto fail = [&]() {
    if (decoder.truncated()) is_truncated(where);
    is_damaged(where, decoder.message());
  };
  if (!decoder.read_header()) fail();
  check_size(decoder.width(), decoder.height(), where);
  const int components = decoder.components();
  if (components != 1 && components != 3 && components != 4) {
    bad_image(where, "is a JPEG of " + std::to_string(components) +
                         " components, which has no RGB value: save it as RGB");
  }
  if (decoder.bits() != 8) {
    bad_image(where, "is a JPEG of " + std::to_string(decoder.bits()) +
                         " bits a channel: save it with 8 bits");
  }
  OwnedPicture picture = room_for(decoder.width(), decoder.height());
  if (!decoder.read_rows(components, picture)) fail();
  return picture;
}

/// The decoder's memory is given back before a second picture is made.
inline OwnedPicture decode_jpeg(std::string_view data, const std::string &where) {
  return upright(jpeg_pixels(data, where), jpeg_turned(data).orientation());
}

}  // namespace detail
}  // namespace resnet
