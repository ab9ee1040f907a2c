/* SPDX-License-Identifier: Apache-2.0
 * A pool of threads names pictures. They share one classifier, or each has its own with one thread,
 * which gives the most pictures a second where there are always enough to do, and takes the memory
 * of that many models.
 *
 *   workers [--own] FOLDER THREADS PICTURE.ppm...
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resnet_classifier.h"

enum { MAX_SIDE = 1 << 14, MAX_THREADS = 64, LINE = 256 };

typedef struct work {
  const char *folder;
  resnet_classifier *shared; /* NULL: each thread opens its own */
  char **pictures;
  char (*answers)[LINE]; /* one for each picture */
  int count, next, failures;
  pthread_mutex_t mutex;
} work;

/* The pixels of a binary PPM file of 8 bits a channel, to be freed; NULL: it can't be read. */
static uint8_t *read_ppm(const char *name, int *width, int *height) {
  FILE *file = fopen(name, "rb");
  uint8_t *rgb = NULL;
  if (file == NULL) return NULL;
  if (fscanf(file, "P6 %5d %5d 255", width, height) == 2 && fgetc(file) != EOF && *width > 0 &&
      *height > 0 && *width <= MAX_SIDE && *height <= MAX_SIDE) {
    const size_t size = (size_t)*width * (size_t)*height * 3;
    rgb = malloc(size);
    if (rgb != NULL && fread(rgb, 1, size, file) != size) {
      free(rgb);
      rgb = NULL;
    }
  }
  fclose(file);
  return rgb;
}

/* Puts question marks in place of what a terminal would obey in UTF-8: control characters,
   separators of lines, marks that turn the direction of writing. */
static const char *printable(char *text) {
  for (unsigned char *at = (unsigned char *)text; *at != 0; ++at) {
    const int control = *at < 0x20 || *at == 0x7f;
    const int latin = *at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
    const int arabic = *at == 0xd8 && at[1] == 0x9c;
    const int general = *at == 0xe2 && at[1] == 0x80 &&
                        (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae));
    const int isolate = *at == 0xe2 && at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
    if (control) *at = '?';
    if (latin || arabic) memset(at, '?', 2);
    if (general || isolate) memset(at, '?', 3);
  }
  return text;
}

/* Writes what one picture shows, or what is wrong with it; 0: it was named. */
static int name_one(resnet_classifier *classifier, const char *picture, char *answer) {
  int width = 0, height = 0;
  int32_t found = 0;
  resnet_prediction top;
  uint8_t *rgb = read_ppm(picture, &width, &height);
  if (rgb == NULL) {
    snprintf(answer, LINE, "no binary PPM file that can be read");
    return 1;
  }
  const size_t size = (size_t)width * (size_t)height * 3;
  const int32_t code =
      resnet_classify(classifier, rgb, size, width, height, 0, 1, &top, &found);
  free(rgb);
  if (code != RESNET_OK || found < 1) {
    snprintf(answer, LINE, "%s", resnet_last_error());
    return 1;
  }
  snprintf(answer, LINE, "%s (%.2f %%)", top.label, 100 * (double)top.probability);
  return 0;
}

static void count_failures(work *all, int failed) {
  pthread_mutex_lock(&all->mutex);
  all->failures += failed;
  pthread_mutex_unlock(&all->mutex);
}

static void *take_pictures(void *argument) {
  work *all = argument;
  resnet_classifier *own = NULL;
  int failed = 0;
  if (all->shared == NULL) {
    resnet_options options;
    memset(&options, 0, sizeof options);
    options.threads = 1;
    if (resnet_open(all->folder, &options, &own) != RESNET_OK) {
      fprintf(stderr, "error: %s\n", resnet_last_error());
      count_failures(all, 1);
      return NULL;
    }
  }
  for (;;) {
    pthread_mutex_lock(&all->mutex);
    const int number = all->next < all->count ? all->next++ : -1;
    pthread_mutex_unlock(&all->mutex);
    if (number < 0) break;
    failed += name_one(own != NULL ? own : all->shared, all->pictures[number],
                       all->answers[number]);
  }
  count_failures(all, failed);
  resnet_close(own);
  return NULL;
}

int main(int argc, char **argv) {
  const int own = argc > 1 && strcmp(argv[1], "--own") == 0;
  char **given = argv + 1 + own;
  const int left = argc - 1 - own;
  if (left < 3) {
    fprintf(stderr, "usage: workers [--own] FOLDER THREADS PICTURE.ppm...\n");
    return 2;
  }
  char *end = NULL;
  const long threads = strtol(given[1], &end, 10);
  if (*end != '\0' || threads < 1 || threads > MAX_THREADS) {
    fprintf(stderr, "error: THREADS is a number from 1 to %d, not '%s'\n", MAX_THREADS, given[1]);
    return 2;
  }
  work all;
  memset(&all, 0, sizeof all);
  all.folder = given[0];
  all.pictures = given + 2;
  all.count = left - 2;
  all.answers = calloc((size_t)all.count, sizeof *all.answers);
  pthread_mutex_init(&all.mutex, NULL);
  if (all.answers == NULL || (!own && resnet_open(all.folder, NULL, &all.shared) != RESNET_OK)) {
    fprintf(stderr, "error: %s\n", all.answers == NULL ? "no memory" : resnet_last_error());
    free(all.answers);
    return 1;
  }
  pthread_t pool[MAX_THREADS];
  long started = 0;
  while (started < threads && pthread_create(&pool[started], NULL, take_pictures, &all) == 0) {
    ++started;
  }
  for (long i = 0; i < started; ++i) pthread_join(pool[i], NULL);
  if (all.next < all.count) all.failures += 1; /* no thread could be started */
  for (int i = 0; i < all.next; ++i) {
    printf("%s: %s\n", printable(all.pictures[i]), printable(all.answers[i]));
  }
  resnet_close(all.shared);
  pthread_mutex_destroy(&all.mutex);
  free(all.answers);
  return all.failures == 0 ? 0 : 1;
}
