/*
 * A power cut for one program: loaded ahead of the C library, it keeps a copy of the files under POWER_FROM in
 * POWER_TO, and brings it up to date with a file's writes only when the program has that file flushed. What
 * stands in the copy when the program is killed is the least that a disk would have kept.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct range { off_t from, to; };
struct file { char path[1024]; struct range *ranges; size_t count, room; struct file *next; };

static struct file *files;
/* The first for the list above; the second, so that nobody's flush returns before another's copying has ended. */
static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER, copying = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = dlsym(RTLD_NEXT, name)

/* Whether the descriptor's file stands under POWER_FROM; its path below that. */
static int below(int fd, char *path, size_t room) {
  const char *from = getenv("POWER_FROM");
  char link[64], target[1024];
  if (!from) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return 0;
  target[length] = 0;
  size_t start = strlen(from);
  if (strncmp(target, from, start) != 0 || target[start] != '/') return 0;
  snprintf(path, room, "%s", target + start);
  return 1;
}

static struct file *file_of(const char *path) {
  struct file *file = files;
  while (file && strcmp(file->path, path) != 0) file = file->next;
  if (file) return file;
  file = calloc(1, sizeof *file);
  snprintf(file->path, sizeof file->path, "%s", path);
  file->next = files;
  return files = file;
}

static void note(int fd, off_t from, off_t to) {
  char path[1024];
  if (to <= from || !below(fd, path, sizeof path)) return;
  pthread_mutex_lock(&noting);
  struct file *file = file_of(path);
  struct range *last = file->count ? &file->ranges[file->count - 1] : NULL;
  if (last && last->to == from) last->to = to;
  else {
    if (file->count == file->room) {
      file->room = file->room ? 2 * file->room : 64;
      file->ranges = realloc(file->ranges, file->room * sizeof *file->ranges);
    }
    file->ranges[file->count++] = (struct range){from, to};
  }
  pthread_mutex_unlock(&noting);
}

/* Copies what was noted of a file. Were the copying to fail, it would look like a loss, and be seen. */
static void persist(int fd) {
  REAL("pwrite64", ssize_t, int, const void *, size_t, off_t);
  char path[1024], of[2100], to[2100];
  if (!getenv("POWER_TO") || !below(fd, path, sizeof path)) return;
  pthread_mutex_lock(&copying);
  pthread_mutex_lock(&noting);
  struct file *file = file_of(path);
  struct range *ranges = file->ranges;
  size_t count = file->count;
  file->ranges = NULL;
  file->count = file->room = 0;
  pthread_mutex_unlock(&noting);
  snprintf(of, sizeof of, "%s%s", getenv("POWER_FROM"), path);
  snprintf(to, sizeof to, "%s%s", getenv("POWER_TO"), path);
  int in = open(of, O_RDONLY | O_CLOEXEC), out = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  struct stat now, then;
  if (in >= 0 && out >= 0 && fstat(in, &now) == 0 && fstat(out, &then) == 0) {
    int failed = now.st_size != then.st_size && ftruncate(out, now.st_size) != 0;
    static char buffer[1 << 20];
    for (size_t i = 0; i < count && !failed; i++) {
      for (off_t at = ranges[i].from; at < ranges[i].to;) {
        size_t most = ranges[i].to - at < (off_t)sizeof buffer ? (size_t)(ranges[i].to - at) : sizeof buffer;
        ssize_t got = pread(in, buffer, most, at);
        if (got <= 0) break; /* cut short since */
        if (real(out, buffer, got, at) != got) break;
        at += got;
      }
    }
  }
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  free(ranges);
  pthread_mutex_unlock(&copying);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
  REAL("pwrite64", ssize_t, int, const void *, size_t, off_t);
  ssize_t written = real(fd, data, size, at);
  note(fd, at, at + written);
  return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return pwrite64(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL("write", ssize_t, int, const void *, size_t);
  ssize_t written = real(fd, data, size);
  if (written > 0 && getenv("POWER_FROM")) {
    off_t end = lseek(fd, 0, SEEK_CUR);
    if (end >= written) note(fd, end - written, end);
  }
  return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  REAL("pwritev", ssize_t, int, const struct iovec *, int, off_t);
  ssize_t written = real(fd, parts, count, at);
  note(fd, at, at + written);
  return written;
}

int fsync(int fd) {
  REAL("fsync", int, int);
  persist(fd);
  return real(fd);
}

int fdatasync(int fd) {
  REAL("fdatasync", int, int);
  persist(fd);
  return real(fd);
}
