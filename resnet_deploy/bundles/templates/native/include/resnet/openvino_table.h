/* SPDX-License-Identifier: Apache-2.0
 * What libresnet_openvino gives the classifier: plain C functions, so that neither C++ types nor
 * exceptions cross the border between two libraries that other compilers may have made. */
#ifndef RESNET_OPENVINO_TABLE_H
#define RESNET_OPENVINO_TABLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RESNET_OPENVINO_TABLE = 2 }; /* changes whenever something below does */

enum { RESNET_ELEMENT_FLOAT32 = 0, RESNET_ELEMENT_UINT8 = 1, RESNET_ELEMENT_INT64 = 2 };

typedef struct resnet_openvino_model resnet_openvino_model;
typedef struct resnet_openvino_request resnet_openvino_request;

typedef struct resnet_openvino_output {
  const char *name;
  const int64_t *shape; /* for one picture; NULL: only the count is known */
  size_t rank;
  int32_t element;
  void *data;
  size_t count;
} resnet_openvino_output;

/* Where a function fails says a sentence, cut to fit and ended by 0. */
typedef struct resnet_openvino_message {
  char *text;
  size_t capacity;
} resnet_openvino_message;

typedef struct resnet_openvino_table {
  int32_t table; /* RESNET_OPENVINO_TABLE of the module */
  const char *version;

  /* Compiles a model for inputs of `shape`, in which -1 is any size. NULL: it failed. */
  resnet_openvino_model *(*open)(const void *data, size_t size, const int64_t shape[4],
                                 const char *const *keys, const char *const *values,
                                 size_t property_count, resnet_openvino_message said);
  void (*close)(resnet_openvino_model *model);

  /* What one call at a time works with. NULL: it failed. */
  resnet_openvino_request *(*request)(resnet_openvino_model *model, resnet_openvino_message said);
  void (*release)(resnet_openvino_request *request);

  /* Fills the outputs; 0, or 1: it failed. Another shape[0] than the model was opened with compiles
   * it once more. */
  int32_t (*run)(resnet_openvino_request *request, const void *input, int32_t element,
                 const int64_t shape[4], const resnet_openvino_output *outputs, size_t output_count,
                 resnet_openvino_message said);
} resnet_openvino_table;

#if defined(_WIN32)
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const resnet_openvino_table *resnet_openvino(void);

#ifdef __cplusplus
}
#endif

#endif /* RESNET_OPENVINO_TABLE_H */
