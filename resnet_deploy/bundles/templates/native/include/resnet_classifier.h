// SPDX-License-Identifier: Apache-2.0
/* An image classifier behind a plain C interface, for C and for every language that can call C.
 *
 * Text is UTF-8. No function throws, aborts or prints. A classifier may be used by any number of
 * threads at once, but must be closed by one, after all others are done with it.
 */
#ifndef RESNET_CLASSIFIER_H
#define RESNET_CLASSIFIER_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(RESNET_SHARED)
#ifdef RESNET_BUILDING
#define RESNET_API __declspec(dllexport)
#else
#define RESNET_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define RESNET_API __attribute__((visibility("default")))
#else
#define RESNET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What functions return: 0, or one of these. resnet_last_error() then says it in words. */
enum {
  RESNET_OK = 0,
  RESNET_BAD_ARGUMENT = -1, /* a null pointer, k below 1, a buffer too small, too many threads */
  RESNET_BAD_IMAGE = -2,    /* a size of zero, too few bytes, too elongated */
  RESNET_BAD_BUNDLE = -3,   /* a file is missing, damaged, or of another bundle */
  RESNET_NO_RUNTIME = -4,   /* the library that runs the network is missing or too old */
  RESNET_RUNTIME = -5,      /* the library that runs the network reported an error */
  RESNET_NO_MEMORY = -6,
  RESNET_INTERNAL = -7 /* anything else that went wrong */
};

typedef struct resnet_classifier resnet_classifier;

/* Fill it with zeros first: `resnet_options options = {0};` sleeps on as many threads as suit. */
typedef struct resnet_options {
  int32_t threads;     /* of one call; 0: as tuned, else the physical cores allowed here */
  int32_t spin;        /* 1: idle threads may wait actively, fastest alone on its cores; 0: sleep */
  const char *model;   /* which of the bundle's model files; NULL: the first */
  const char *runtime; /* "onnxruntime" or "openvino"; NULL: the bundle's first that works here */
  int32_t xnnpack;     /* 1: ONNX Runtime's XNNPACK provider; resnet_notice() says where it lacks */
} resnet_options;

/* Pixels: `rgb` holds `size` bytes, rows of width * 3 bytes (red, green, blue), top row first,
 * `stride` bytes from one row to the next (0: width * 3). */
typedef struct resnet_picture {
  const uint8_t *rgb;
  size_t size;
  int32_t width;
  int32_t height;
  size_t stride;
} resnet_picture;

/* One class. The label belongs to the classifier and lives as long as it does. */
typedef struct resnet_prediction {
  int32_t index;
  float score;       /* what the network says: a logit, or a probability */
  float probability; /* 0 to 1, by softmax where the score is a logit */
  const char *label;
} resnet_prediction;

/* The last error of this thread, until its next call of any function below; "" after a success. */
RESNET_API const char *resnet_last_error(void);

/* Opens the bundle in `folder`, which holds the model and labels.txt. `options` may be NULL: as
 * tuned, or all cores, spinning. On success *made is a classifier to be closed by resnet_close(),
 * else NULL. */
RESNET_API int32_t resnet_open(const char *folder, const resnet_options *options,
                               resnet_classifier **made);

/* The same from memory: the bytes of the model file and of labels.txt, both copied. For files
 * inside an app's package. Which model file it is, is told by its bytes; options->model is not
 * read. */
RESNET_API int32_t resnet_open_memory(const void *model, size_t model_size, const char *labels,
                                      size_t labels_size, const resnet_options *options,
                                      resnet_classifier **made);

/* Frees the classifier; NULL is fine. */
RESNET_API void resnet_close(resnet_classifier *classifier);

/* Names the best classes of one picture, best first, in top[0 .. *found - 1].
 *
 * `rgb` holds `size` bytes: rows of width * 3 bytes (red, green, blue), top row first, `stride`
 * bytes from one row to the next (0: width * 3). At most k classes are named; fewer if there are
 * fewer. */
RESNET_API int32_t resnet_classify(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                                   int32_t width, int32_t height, size_t stride, int32_t k,
                                   resnet_prediction *top, int32_t *found);

/* The same for `count` pictures at once, which is faster than one call for each where the CPU has
 * cores to fill. The classes of picture i are top[i * k .. i * k + *found - 1]: *found is the same
 * for all. Needs a model file with a free batch. Any count is fine: a few pictures run at a time,
 * those of one size together where the graph itself resizes. The first call with a number of
 * pictures may take a while, since a runtime may prepare itself for it.
 *
 * Where it fails, the message names the picture by its index, *found is 0, and what `top` holds is
 * undefined. */
RESNET_API int32_t resnet_classify_batch(resnet_classifier *classifier,
                                         const resnet_picture *pictures, size_t count, int32_t k,
                                         resnet_prediction *top, int32_t *found);

/* What runs the network, such as "OpenVINO 2026.1.0", and why it is not the bundle's first choice:
 * "" where it is. Both live as long as the classifier; NULL for no classifier. */
RESNET_API const char *resnet_runtime(const resnet_classifier *classifier);
RESNET_API const char *resnet_notice(const resnet_classifier *classifier);

/* The float32 outputs of the network: feature maps, an embedding, or the scores of a classifier.
 * How many there are, and the name and the shape of one for one picture: *rank is set to the number
 * of its dimensions, without the batch, and shape[0 .. *rank - 1] where `capacity` holds as many.
 * NULL and an error where there is no such output. */
RESNET_API int32_t resnet_output_count(const resnet_classifier *classifier);
RESNET_API const char *resnet_output_name(const resnet_classifier *classifier, int32_t index);
RESNET_API int32_t resnet_output_shape(const resnet_classifier *classifier, int32_t index,
                                       int64_t *shape, size_t capacity, size_t *rank);

/* Fills all `count` outputs for one picture: outputs[i] has room for capacities[i] floats, and gets
 * the product of its shape of them, in C order. Where one is too small nothing is written. */
RESNET_API int32_t resnet_outputs(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                                  int32_t width, int32_t height, size_t stride,
                                  float *const *outputs, const size_t *capacities, int32_t count);

/* How many classes there are, and the name of one; NULL where there is none. */
RESNET_API int32_t resnet_class_count(const resnet_classifier *classifier);
RESNET_API const char *resnet_label(const resnet_classifier *classifier, int32_t index);

/* For tests: the exact input that a picture becomes, without the batch. *needed is set to its
 * bytes; nothing is written where `capacity` is smaller. */
RESNET_API int32_t resnet_prepare(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                                  int32_t width, int32_t height, size_t stride, void *tensor,
                                  size_t capacity, size_t *needed);

#ifdef __cplusplus
}
#endif

#endif /* RESNET_CLASSIFIER_H */
