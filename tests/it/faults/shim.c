// Preloaded into the program: a clock that is wrong and a disk that is full or read-only, as the
// file that FAULTS names says at the moment.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile struct {
    int64_t ahead; // by how many seconds the clock is
    int64_t full;
    int64_t read_only;
} *faults;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("FAULTS"), O_RDONLY);
    faults = mmap(NULL, sizeof *faults, PROT_READ, MAP_SHARED, file, 0);
    if (faults == MAP_FAILED)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && faults && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += faults->ahead;
    return (int)result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    long result = syscall(SYS_gettimeofday, now, zone);
    if (result == 0 && faults)
        now->tv_sec += faults->ahead;
    return (int)result;
}

time_t time(time_t *now) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    if (now)
        *now = real.tv_sec;
    return real.tv_sec;
}

static int is_database(const char *path) {
    return strstr(path, "orders.db") != NULL;
}

// Whether this cannot be written: a full disk has no room for what would make a file longer.
static int is_refused(int file, off_t end) {
    struct stat found;
    if (!faults || fstat(file, &found) != 0 || !S_ISREG(found.st_mode))
        return 0;
    if (faults->read_only) {
        char link[32], path[4096] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        errno = EROFS;
        return readlink(link, path, sizeof path - 1) > 0 && is_database(path);
    }
    errno = ENOSPC;
    return faults->full && end > found.st_size;
}

// The database opens no more than for reading on a disk that is read-only.
static int open_file(const char *path, int flags, mode_t mode) {
    if (faults && faults->read_only && (flags & O_ACCMODE) != O_RDONLY && is_database(path)) {
        errno = EROFS;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_file(path, flags, mode);
}

ssize_t write(int file, const void *data, size_t size) {
    if (is_refused(file, lseek(file, 0, SEEK_CUR) + (off_t)size))
        return -1;
    return syscall(SYS_write, file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    if (is_refused(file, at + (off_t)size))
        return -1;
    return syscall(SYS_pwrite64, file, data, size, at);
}
