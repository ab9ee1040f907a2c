// SPDX-License-Identifier: Apache-2.0
// What Java calls: arrays in, numbers out. The work is done by the C interface, and exceptions are
// made in ResnetClassifier.java from the code and the message that are returned here.
#include <jni.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <vector>

#include "resnet_classifier.h"

namespace {

// The elements of a Java array for reading, given back when this goes out of scope.
class Bytes {
 public:
  Bytes(JNIEnv *env, jbyteArray array)
      : env_(env),
        array_(array),
        size_(array != nullptr ? static_cast<std::size_t>(env->GetArrayLength(array)) : 0),
        data_(array != nullptr ? env->GetByteArrayElements(array, nullptr) : nullptr) {
    if (array != nullptr && data_ == nullptr) throw std::bad_alloc();
  }
  ~Bytes() {
    if (data_ != nullptr) env_->ReleaseByteArrayElements(array_, data_, JNI_ABORT);
  }
  Bytes(const Bytes &) = delete;
  Bytes &operator=(const Bytes &) = delete;

  const std::uint8_t *data() const { return reinterpret_cast<const std::uint8_t *>(data_); }
  const char *text() const { return reinterpret_cast<const char *>(data_); }
  std::size_t size() const { return size_; }

 private:
  JNIEnv *env_;
  jbyteArray array_;
  std::size_t size_;
  jbyte *data_;
};

// Text goes as UTF-8 bytes: JNI's own strings have another encoding for characters such as emoji.
jbyteArray bytes_of(JNIEnv *env, const void *data, std::size_t size) {
  jbyteArray made = env->NewByteArray(static_cast<jsize>(size));
  if (made != nullptr) {
    env->SetByteArrayRegion(made, 0, static_cast<jsize>(size), static_cast<const jbyte *>(data));
  }
  return made;
}

jbyteArray bytes_of(JNIEnv *env, const char *text) {
  return text != nullptr ? bytes_of(env, text, std::strlen(text)) : nullptr;
}

// Runs `work`, which returns a code of the C interface or a number from 0 up. The message of a
// failure goes into message[0].
template <class Work>
jint guarded(JNIEnv *env, jobjectArray message, Work work) {
  jint code = RESNET_INTERNAL;
  const char *reason = "out of memory";
  try {
    code = work();
    reason = code < 0 ? resnet_last_error() : nullptr;
  } catch (const std::bad_alloc &) {
    code = RESNET_NO_MEMORY;
  } catch (...) {
    reason = "unknown error";
  }
  // An exception of Java that is pending already says more.
  if (reason != nullptr && !env->ExceptionCheck()) {
    env->SetObjectArrayElement(message, 0, bytes_of(env, reason));
  }
  return code;
}

resnet_classifier *classifier_of(jlong handle) {
  return reinterpret_cast<resnet_classifier *>(static_cast<std::intptr_t>(handle));
}

resnet_options options_of(const Bytes &model, jint threads, jboolean spin, jboolean xnnpack,
                          const Bytes &runtime) {
  resnet_options options{};
  options.threads = threads;
  options.spin = spin == JNI_TRUE ? 1 : 0;
  options.model = model.text();
  options.runtime = runtime.text();
  options.xnnpack = xnnpack == JNI_TRUE ? 1 : 0;
  return options;
}

void keep_handle(JNIEnv *env, jlongArray handle, resnet_classifier *made) {
  const jlong value = static_cast<jlong>(reinterpret_cast<std::intptr_t>(made));
  env->SetLongArrayRegion(handle, 0, 1, &value);
}

// The integers of a short array.
std::vector<jint> integers(JNIEnv *env, jintArray array) {
  std::vector<jint> values(static_cast<std::size_t>(env->GetArrayLength(array)));
  env->GetIntArrayRegion(array, 0, static_cast<jsize>(values.size()), values.data());
  return values;
}

// Calls get(values, how many fit, how many are needed), again where too few fit.
template <class Value, class Get>
std::int32_t fill(std::vector<Value> &values, Get get) {
  values.resize(1);
  std::size_t needed = 0;
  std::int32_t code = get(values.data(), values.size(), &needed);
  if (needed > values.size()) {
    values.resize(needed);
    code = get(values.data(), values.size(), &needed);
  }
  return code;
}

// Writes the RGB bytes of 0xAARRGGBB pixels, turned clockwise by a multiple of 90 degrees. Java has
// checked that there are width * height of them, and made room for three bytes each.
void turn_upright(const jint *pixels, std::size_t width, std::size_t height, jint degrees,
                  jbyte *rgb) {
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      std::size_t place = y * width + x;
      if (degrees == 90) place = x * height + (height - 1 - y);
      if (degrees == 180) place = (height - 1 - y) * width + (width - 1 - x);
      if (degrees == 270) place = (width - 1 - x) * height + y;
      const auto pixel = static_cast<std::uint32_t>(pixels[y * width + x]);
      rgb[place * 3] = static_cast<jbyte>(pixel >> 16);
      rgb[place * 3 + 1] = static_cast<jbyte>(pixel >> 8);
      rgb[place * 3 + 2] = static_cast<jbyte>(pixel);
    }
  }
}

}  // namespace

extern "C" {

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeOpen(
    JNIEnv *env, jclass, jbyteArray folder, jbyteArray model, jint threads, jboolean spin,
    jboolean xnnpack, jbyteArray runtime, jlongArray handle, jobjectArray message) {
  return guarded(env, message, [&] {
    const Bytes folder_text(env, folder);
    const Bytes model_text(env, model);
    const Bytes runtime_text(env, runtime);
    const resnet_options options = options_of(model_text, threads, spin, xnnpack, runtime_text);
    resnet_classifier *made = nullptr;
    const std::int32_t code = resnet_open(folder_text.text(), &options, &made);
    keep_handle(env, handle, made);
    return code;
  });
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeOpenMemory(
    JNIEnv *env, jclass, jbyteArray model, jbyteArray labels, jint threads, jboolean spin,
    jboolean xnnpack, jbyteArray runtime, jlongArray handle, jobjectArray message) {
  return guarded(env, message, [&] {
    const Bytes model_bytes(env, model);
    const Bytes labels_bytes(env, labels);
    const Bytes runtime_text(env, runtime);
    const resnet_options options =
        options_of(Bytes(env, nullptr), threads, spin, xnnpack, runtime_text);
    resnet_classifier *made = nullptr;
    const std::int32_t code =
        resnet_open_memory(model_bytes.data(), model_bytes.size(), labels_bytes.text(),
                           labels_bytes.size(), &options, &made);
    keep_handle(env, handle, made);
    return code;
  });
}

JNIEXPORT void JNICALL Java_resnetdeploy_ResnetClassifier_nativeClose(JNIEnv *, jclass,
                                                                      jlong handle) {
  resnet_close(classifier_of(handle));
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeClassCount(JNIEnv *, jclass,
                                                                           jlong handle) {
  return resnet_class_count(classifier_of(handle));
}

JNIEXPORT jbyteArray JNICALL Java_resnetdeploy_ResnetClassifier_nativeLabel(JNIEnv *env, jclass,
                                                                            jlong handle,
                                                                            jint index) {
  return bytes_of(env, resnet_label(classifier_of(handle), index));
}

JNIEXPORT jbyteArray JNICALL Java_resnetdeploy_ResnetClassifier_nativeRuntime(JNIEnv *env, jclass,
                                                                              jlong handle) {
  return bytes_of(env, resnet_runtime(classifier_of(handle)));
}

JNIEXPORT jbyteArray JNICALL Java_resnetdeploy_ResnetClassifier_nativeNotice(JNIEnv *env, jclass,
                                                                             jlong handle) {
  return bytes_of(env, resnet_notice(classifier_of(handle)));
}

// An exception of Java is pending where there is no memory: that is all that can go wrong.
JNIEXPORT void JNICALL Java_resnetdeploy_ResnetClassifier_nativeUpright(JNIEnv *env, jclass,
                                                                        jintArray argb, jint width,
                                                                        jint height, jint degrees,
                                                                        jbyteArray rgb) {
  jint *pixels = env->GetIntArrayElements(argb, nullptr);
  if (pixels == nullptr) return;
  if (jbyte *made = env->GetByteArrayElements(rgb, nullptr)) {
    turn_upright(pixels, static_cast<std::size_t>(width), static_cast<std::size_t>(height), degrees,
                 made);
    env->ReleaseByteArrayElements(rgb, made, 0);
  }
  env->ReleaseIntArrayElements(argb, pixels, JNI_ABORT);
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeClassify(
    JNIEnv *env, jclass, jlong handle, jobjectArray rgb, jintArray width, jintArray height,
    jint each, jintArray index, jfloatArray score, jfloatArray probability,
    jobjectArray message) {
  return guarded(env, message, [&] {
    const std::vector<jint> widths = integers(env, width), heights = integers(env, height);
    const std::size_t count = widths.size();
    // A reference to each picture, besides the 16 that there is room for.
    if (env->EnsureLocalCapacity(static_cast<jint>(count) + 16) != JNI_OK) throw std::bad_alloc();
    std::vector<std::unique_ptr<const Bytes>> kept;
    std::vector<resnet_picture> pictures;
    for (std::size_t i = 0; i < count; ++i) {
      auto array = static_cast<jbyteArray>(env->GetObjectArrayElement(rgb, static_cast<jsize>(i)));
      kept.push_back(std::make_unique<const Bytes>(env, array));
      pictures.push_back({kept.back()->data(), kept.back()->size(), widths[i], heights[i], 0});
    }
    std::vector<resnet_prediction> top(count * static_cast<std::size_t>(each));
    std::int32_t found = 0;
    // A file whose batch is fixed takes one picture, but no list of them.
    const std::int32_t code =
        count == 1 ? resnet_classify(classifier_of(handle), pictures[0].rgb, pictures[0].size,
                                     widths[0], heights[0], 0, each, top.data(), &found)
                   : resnet_classify_batch(classifier_of(handle), pictures.data(), count, each,
                                           top.data(), &found);
    if (code != RESNET_OK) return code;
    std::vector<jint> indices;
    std::vector<jfloat> scores, probabilities;
    for (const resnet_prediction &prediction : top) {
      indices.push_back(prediction.index);
      scores.push_back(prediction.score);
      probabilities.push_back(prediction.probability);
    }
    const auto places = static_cast<jsize>(top.size());
    env->SetIntArrayRegion(index, 0, places, indices.data());
    env->SetFloatArrayRegion(score, 0, places, scores.data());
    env->SetFloatArrayRegion(probability, 0, places, probabilities.data());
    return found;
  });
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativePrepare(
    JNIEnv *env, jclass, jlong handle, jbyteArray rgb, jint width, jint height,
    jobjectArray tensor, jobjectArray message) {
  return guarded(env, message, [&] {
    const Bytes picture(env, rgb);
    std::vector<std::uint8_t> values;
    const std::int32_t code = fill(values, [&](void *to, std::size_t capacity, std::size_t *needed) {
      return resnet_prepare(classifier_of(handle), picture.data(), picture.size(), width, height, 0,
                            to, capacity, needed);
    });
    if (code != RESNET_OK) return code;
    env->SetObjectArrayElement(tensor, 0, bytes_of(env, values.data(), values.size()));
    return code;
  });
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeOutputCount(JNIEnv *, jclass,
                                                                            jlong handle) {
  return resnet_output_count(classifier_of(handle));
}

JNIEXPORT jbyteArray JNICALL Java_resnetdeploy_ResnetClassifier_nativeOutputName(JNIEnv *env,
                                                                                 jclass,
                                                                                 jlong handle,
                                                                                 jint index) {
  return bytes_of(env, resnet_output_name(classifier_of(handle), index));
}

JNIEXPORT jlongArray JNICALL Java_resnetdeploy_ResnetClassifier_nativeOutputShape(JNIEnv *env,
                                                                                  jclass,
                                                                                  jlong handle,
                                                                                  jint index) {
  std::int64_t shape[8];  // feature maps have three dimensions
  std::size_t rank = 0;
  const bool known = resnet_output_shape(classifier_of(handle), index, shape, std::size(shape),
                                         &rank) == RESNET_OK;
  const auto length = static_cast<jsize>(known ? rank : 0);
  jlongArray made = env->NewLongArray(length);
  if (made == nullptr) return nullptr;
  for (jsize i = 0; i < length; ++i) {
    const jlong size = shape[i];
    env->SetLongArrayRegion(made, i, 1, &size);
  }
  return made;
}

JNIEXPORT jint JNICALL Java_resnetdeploy_ResnetClassifier_nativeOutputs(
    JNIEnv *env, jclass, jlong handle, jbyteArray rgb, jint width, jint height,
    jobjectArray values, jobjectArray message) {
  return guarded(env, message, [&] {
    const Bytes picture(env, rgb);
    const jsize count = env->GetArrayLength(values);
    std::vector<std::vector<float>> made;
    std::vector<float *> places;
    std::vector<std::size_t> sizes;
    const auto array = [&](jsize i) {
      return static_cast<jfloatArray>(env->GetObjectArrayElement(values, i));
    };
    for (jsize i = 0; i < count; ++i) {
      made.emplace_back(static_cast<std::size_t>(env->GetArrayLength(array(i))));
    }
    for (std::vector<float> &output : made) {
      places.push_back(output.data());
      sizes.push_back(output.size());
    }
    const std::int32_t code =
        resnet_outputs(classifier_of(handle), picture.data(), picture.size(), width, height, 0,
                       places.data(), sizes.data(), count);
    if (code != RESNET_OK) return code;
    for (jsize i = 0; i < count; ++i) {
      const std::vector<float> &output = made[static_cast<std::size_t>(i)];
      env->SetFloatArrayRegion(array(i), 0, static_cast<jsize>(output.size()), output.data());
    }
    return code;
  });
}

}  // extern "C"
